//===- Utf8.cpp - UTF-8 checked and taken apart ---------------------------===//
//
// Follows table 3-7 of the Unicode Standard ("Well-Formed UTF-8 Byte
// Sequences"): the first byte gives the length and the range of the second.
//
//===----------------------------------------------------------------------===//

#include "Utf8.h"

using namespace odyssey::runtime;

tokenizer::Utf8Unit tokenizer::decodeUtf8(std::string_view text) {
  Utf8Unit unit;
  if (text.empty())
    return unit;
  auto byteAt = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byteAt(0);
  unit.length = 1;
  if (first < 0x80) {
    unit.codePoint = first;
    unit.valid = true;
    return unit;
  }
  size_t needed;
  unsigned char low = 0x80, high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    needed = 2;
    unit.codePoint = first & 0x1f;
  } else if (first >= 0xe0 && first <= 0xef) {
    needed = 3;
    unit.codePoint = first & 0x0f;
    if (first == 0xe0)
      low = 0xa0;
    if (first == 0xed)
      high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    needed = 4;
    unit.codePoint = first & 0x07;
    if (first == 0xf0)
      low = 0x90;
    if (first == 0xf4)
      high = 0x8f;
  } else {
    return unit;
  }
  while (unit.length < needed) {
    if (unit.length == text.size()) {
      unit.incomplete = true;
      return unit;
    }
    unsigned char next = byteAt(unit.length);
    if (next < low || next > high)
      return unit;
    unit.codePoint = unit.codePoint << 6 | (next & 0x3f);
    ++unit.length;
    low = 0x80;
    high = 0xbf;
  }
  unit.valid = true;
  return unit;
}

size_t tokenizer::findInvalidUtf8(std::string_view text) {
  for (size_t offset = 0; offset < text.size();) {
    Utf8Unit unit = decodeUtf8(text.substr(offset));
    if (!unit.valid)
      return offset;
    offset += unit.length;
  }
  return std::string_view::npos;
}

void tokenizer::appendUtf8(std::string &text, uint32_t codePoint) {
  auto append = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (codePoint < 0x80) {
    append(codePoint);
  } else if (codePoint < 0x800) {
    append(0xc0 | codePoint >> 6);
    append(0x80 | (codePoint & 0x3f));
  } else if (codePoint < 0x10000) {
    append(0xe0 | codePoint >> 12);
    append(0x80 | (codePoint >> 6 & 0x3f));
    append(0x80 | (codePoint & 0x3f));
  } else {
    append(0xf0 | codePoint >> 18);
    append(0x80 | (codePoint >> 12 & 0x3f));
    append(0x80 | (codePoint >> 6 & 0x3f));
    append(0x80 | (codePoint & 0x3f));
  }
}

void tokenizer::drainUtf8(std::string &bytes, std::string &text, bool atEnd) {
  size_t offset = 0;
  while (offset < bytes.size()) {
    Utf8Unit unit = decodeUtf8(std::string_view(bytes).substr(offset));
    if (unit.incomplete && !atEnd)
      break;
    if (unit.valid)
      text.append(bytes, offset, unit.length);
    else
      appendUtf8(text, 0xfffd);
    offset += unit.length;
  }
  bytes.erase(0, offset);
}

bool tokenizer::isWhitespace(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

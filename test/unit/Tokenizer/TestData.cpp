//===- TestData.cpp - Files for the tests of tokenizers -------------------===//
//
// The writers know nothing of the readers: they follow the descriptions of the
// formats on their own.
//
//===----------------------------------------------------------------------===//

#include "TestData.h"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

using namespace odyssey;
using namespace odyssey::test;

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

static std::string dataFolder() {
  const char *folder = std::getenv("ODYSSEY_DATA");
  return folder ? folder : ODYSSEY_TEST_DATA_FOLDER;
}

std::optional<std::string> test::readDataFile(std::string_view path) {
  std::ifstream file(dataFolder() + "/" + std::string(path), std::ios::binary);
  if (!file)
    return std::nullopt;
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

std::string test::missingData(std::string_view path) {
  return "no " + std::string(path) + " in " + dataFolder() +
         " (set ODYSSEY_DATA)";
}

runtime::Result<std::unique_ptr<runtime::Tokenizer>>
test::loadTokenizer(std::string_view fileName, std::string_view content) {
  return runtime::Tokenizer::load(fileName, std::as_bytes(std::span(content)));
}

const std::vector<std::string> &test::difficultTexts() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> all = {
        "",
        " ",
        "  ",
        "   leading and trailing   ",
        "\t\ttabs\tand\r\nline ends\n\n\n",
        "a\u00a0no-break\u2003em\u3000ideographic\u200bzero width",
        "I'm sure they'll say it's y'all's, we'Ve 'RE",
        "1 12 123 1234 12345.678,90 \u00bd \u2167 \u0663\u0664",
        "na\u00efve caf\u00e9 cafe\u0301 \u00c4pfel \u1eea Vi\u1ec7t",
        "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 "
        "\u6211\u60f3\u5728apple\u5de5\u4f5c "
        "\ud55c\uad6d\uc5b4",
        "\u043d\u0435\u0449\u043e \u043d\u0430 "
        "\u0411\u044a\u043b\u0433\u0430\u0440\u0441\u043a\u0438",
        "\u0928\u092e\u0938\u094d\u0924\u0947 "
        "\u1780\u17b6\u1793\u17cb\u178f\u17c2 \u05e9\u05dc\u05d5\u05dd "
        "\u0645\u0631\u062d\u0628\u0627",
        "\U0001f600 \U0001f636\u200d\U0001f32b\ufe0f "
        "\U0001f1e9\U0001f1ea \U0001f999.cpp \u2705",
        "int main() { return x[0] != '\\0' ? -1 : 0xFF; } // ==== ----",
        "https://example.com/a?b=c&d=%20e#f",
        "\x01\x02\x7f control \ufeff \ufffd \U0010ffff",
        "getHTTPResponse CamelCase ALLCAPS snake_case",
        "''''''```````\"\"\"\"......!!!!!!??????",
    };
    std::string together;
    for (const std::string &text : all)
      together += text + "\n ";
    all.push_back(together);
    std::string repeated;
    for (int i = 0; i < 50; ++i)
      repeated += together;
    all.push_back(std::move(repeated));
    all.push_back(std::string(10000, ' '));
    all.push_back(std::string(10000, 'a'));
    return all;
  }();
  return texts;
}

//===----------------------------------------------------------------------===//
// SentencePiece models
//===----------------------------------------------------------------------===//

std::vector<Piece> test::llamaPieces() {
  std::vector<Piece> pieces = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    pieces.push_back({text, 0, 6});
  }
  return pieces;
}

static void appendVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

static void appendIntegerField(std::string &out, int number, uint64_t value) {
  appendVarint(out, uint64_t(number) << 3);
  appendVarint(out, value);
}

static void appendBytesField(std::string &out, int number,
                             std::string_view bytes) {
  appendVarint(out, uint64_t(number) << 3 | 2);
  appendVarint(out, bytes.size());
  out += bytes;
}

static void appendLittleEndian(std::string &out, uint64_t value, int size) {
  for (int i = 0; i < size; ++i)
    out += static_cast<char>(value >> 8 * i);
}

std::string ModelWriter::write() const {
  std::string model;
  for (const Piece &piece : pieces) {
    std::string message;
    appendBytesField(message, 1, piece.text);
    appendVarint(message, 2 << 3 | 5);
    appendLittleEndian(message, std::bit_cast<uint32_t>(piece.score), 4);
    appendIntegerField(message, 3, piece.type);
    appendBytesField(model, 1, message);
  }
  std::string trainer;
  appendIntegerField(trainer, 3, modelType);
  appendIntegerField(trainer, 35, byteFallback);
  appendBytesField(model, 2, trainer);
  std::string normalizer;
  appendBytesField(normalizer, 1, characterMap.empty() ? "identity" : "nfkc");
  appendBytesField(normalizer, 2, characterMap);
  appendIntegerField(normalizer, 3, addDummyPrefix);
  appendIntegerField(normalizer, 4, removeExtraWhitespaces);
  appendBytesField(model, 3, normalizer);
  return model;
}

//===----------------------------------------------------------------------===//
// GGUF files
//===----------------------------------------------------------------------===//

// Numbers of the value types, from ggml's gguf.md.
static constexpr uint32_t kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7,
                          kString = 8, kArray = 9;

static void appendGgufString(std::string &out, std::string_view text) {
  appendLittleEndian(out, text.size(), 8);
  out += text;
}

void GgufWriter::beginPair(std::string_view key, uint32_t type) {
  ++pairCount;
  appendGgufString(pairs, key);
  appendLittleEndian(pairs, type, 4);
}

void GgufWriter::addString(std::string_view key, std::string_view value) {
  beginPair(key, kString);
  appendGgufString(pairs, value);
}

void GgufWriter::addUint32(std::string_view key, uint32_t value) {
  beginPair(key, kUint32);
  appendLittleEndian(pairs, value, 4);
}

void GgufWriter::addBool(std::string_view key, bool value) {
  beginPair(key, kBool);
  appendLittleEndian(pairs, value, 1);
}

void GgufWriter::addStrings(std::string_view key,
                            const std::vector<std::string> &values) {
  beginPair(key, kArray);
  appendLittleEndian(pairs, kString, 4);
  appendLittleEndian(pairs, values.size(), 8);
  for (const std::string &value : values)
    appendGgufString(pairs, value);
}

void GgufWriter::addFloats(std::string_view key,
                           const std::vector<float> &values) {
  beginPair(key, kArray);
  appendLittleEndian(pairs, kFloat32, 4);
  appendLittleEndian(pairs, values.size(), 8);
  for (float value : values)
    appendLittleEndian(pairs, std::bit_cast<uint32_t>(value), 4);
}

void GgufWriter::addInts(std::string_view key,
                         const std::vector<int32_t> &values) {
  beginPair(key, kArray);
  appendLittleEndian(pairs, kInt32, 4);
  appendLittleEndian(pairs, values.size(), 8);
  for (int32_t value : values)
    appendLittleEndian(pairs, static_cast<uint32_t>(value), 4);
}

void GgufWriter::addPieces(const std::vector<Piece> &pieces) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const Piece &piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(piece.type);
  }
  addStrings("tokenizer.ggml.tokens", texts);
  addFloats("tokenizer.ggml.scores", scores);
  addInts("tokenizer.ggml.token_type", types);
}

std::string GgufWriter::write(uint32_t version) const {
  std::string file = "GGUF";
  appendLittleEndian(file, version, 4);
  appendLittleEndian(file, /*tensors=*/0, 8);
  appendLittleEndian(file, pairCount, 8);
  return file + pairs;
}

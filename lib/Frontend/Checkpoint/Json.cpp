//===- Json.cpp - JSON from files that may lie ----------------------------===//

#include "Json.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

static constexpr int maxNesting = 100;

/// Position of the quote that ends the string whose text starts at `begin`.
static size_t endOfString(StringRef text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && text[end] != '"')
    end += text[end] == '\\' ? 2 : 1;
  return end;
}

/// A walk over brackets, strings and colons; whether the rest is JSON is the
/// parser's to say.
static Error checkStructure(StringRef text) {
  llvm::StringSet<> keys;
  StringRef lastString;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
    case '"': {
      size_t end = endOfString(text, i + 1);
      lastString = text.slice(i + 1, end);
      i = end;
      break;
    }
    case '{':
    case '[':
      if (++depth > maxNesting)
        return createStringError("JSON is nested more than %d deep",
                                 maxNesting);
      break;
    case '}':
    case ']':
      --depth;
      break;
    case ':':
      if (depth == 1 && !keys.insert(lastString).second)
        return createStringError("'" + lastString + "' appears twice");
      break;
    }
  }
  return Error::success();
}

Expected<llvm::json::Object> odyssey::parseJsonObject(StringRef text) {
  if (Error error = checkStructure(text))
    return error;
  Expected<llvm::json::Value> value = llvm::json::parse(text);
  if (!value)
    return value.takeError();
  if (llvm::json::Object *object = value->getAsObject())
    return std::move(*object);
  return createStringError("JSON is not an object");
}

Expected<llvm::json::Object> odyssey::readJsonObject(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return llvm::createFileError(path, buffer.getError());
  Expected<llvm::json::Object> object = parseJsonObject((*buffer)->getBuffer());
  if (!object)
    return llvm::createFileError(path, object.takeError());
  return object;
}

//===- TestData.h - Files for the tests of tokenizers -----------*- C++ -*-===//
//
// Finds the large files, which are not part of the repository, and writes small
// tokenizers of all three kinds.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_TOKENIZER_TESTDATA_H
#define ODYSSEY_TEST_UNIT_TOKENIZER_TESTDATA_H

#include "odyssey/runtime/Tokenizer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::test {

/// The content of a file below $ODYSSEY_DATA (or where the build was told to
/// look), none if it is not there.
std::optional<std::string> readDataFile(std::string_view path);

/// What a test without its data says.
std::string missingData(std::string_view path);

/// `Tokenizer::load` of a text.
runtime::Result<std::unique_ptr<runtime::Tokenizer>>
loadTokenizer(std::string_view fileName, std::string_view content);

/// Texts with what tokenizers stumble over: white space of all kinds, many
/// scripts, emoji with joiners, apostrophes, digits, control characters.
const std::vector<std::string> &difficultTexts();

struct Piece {
  std::string text;
  float score = 0;
  /// SentencePiece's number of the type: 1 normal, 2 unknown, 3 control, 4 user
  /// defined, 5 unused, 6 byte.
  int type = 1;
};

/// The pieces <unk>, <s>, </s> and the 256 bytes, as LLaMA's vocabulary begins.
std::vector<Piece> llamaPieces();

/// Writes a SentencePiece model.
struct ModelWriter {
  std::vector<Piece> pieces;
  int modelType = 2;
  bool byteFallback = true;
  bool addDummyPrefix = true;
  bool removeExtraWhitespaces = false;
  std::string characterMap;

  std::string write() const;
};

/// Writes the metadata of a GGUF file, version 3.
class GgufWriter {
public:
  void addString(std::string_view key, std::string_view value);
  void addUint32(std::string_view key, uint32_t value);
  void addBool(std::string_view key, bool value);
  void addStrings(std::string_view key, const std::vector<std::string> &values);
  void addFloats(std::string_view key, const std::vector<float> &values);
  void addInts(std::string_view key, const std::vector<int32_t> &values);
  /// Adds tokens, scores and types.
  void addPieces(const std::vector<Piece> &pieces);

  std::string write(uint32_t version = 3) const;

private:
  void beginPair(std::string_view key, uint32_t type);

  std::string pairs;
  uint64_t pairCount = 0;
};

} // namespace odyssey::test

#endif // ODYSSEY_TEST_UNIT_TOKENIZER_TESTDATA_H

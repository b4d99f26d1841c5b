//===- SentencePieceTest.cpp - Small SentencePiece models -----------------===//
//
// Each test writes a model that has one feature of the format in it. That the
// rules are SentencePiece's own has been compared with its library on models
// trained with these options.
//
//===----------------------------------------------------------------------===//

#include "TestData.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace odyssey::runtime;
using namespace odyssey::test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

ModelWriter smallModel() {
  ModelWriter model;
  model.pieces = llamaPieces();
  float score = 0;
  for (const char *text : {"▁a", "ab", "abc", "▁▁", "▁ab", "a", "b", "c", "▁"})
    model.pieces.push_back({text, score--});
  return model;
}

std::unique_ptr<Tokenizer> load(const ModelWriter &model) {
  auto tokenizer = loadTokenizer("tokenizer.model", model.write());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

std::string loadError(const ModelWriter &model, StatusCode code) {
  auto tokenizer = loadTokenizer("tokenizer.model", model.write());
  EXPECT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().code(), code);
  return tokenizer.status().message();
}

/// The texts of the tokens of `text`, without the first one.
std::vector<std::string> pieces(const ModelWriter &model, std::string_view text,
                                const EncodeOptions &options = {
                                    .addBos = false}) {
  std::unique_ptr<Tokenizer> tokenizer = load(model);
  std::vector<std::string> result;
  if (!tokenizer)
    return result;
  Result<std::vector<int32_t>> tokens = tokenizer->encode(text, options);
  EXPECT_TRUE(tokens.ok()) << tokens.status().message();
  for (int32_t token : tokens.ok() ? *tokens : std::vector<int32_t>())
    result.emplace_back(tokenizer->tokenText(token));
  return result;
}

TEST(SentencePiece, MergesTheBestScoreFirst) {
  ModelWriter model = smallModel();
  // "▁a" has a better score than "ab", so that "abc" does not come about.
  EXPECT_THAT(pieces(model, "abc"), ElementsAre("▁ab", "c"));
  EXPECT_THAT(pieces(model, "cabc"), ElementsAre("▁", "c", "abc"));
  EXPECT_THAT(pieces(model, ""), IsEmpty());
}

TEST(SentencePiece, TakesTheLeftmostOfEqualScores) {
  ModelWriter model;
  model.pieces = llamaPieces();
  for (const char *text : {"aa", "ab", "a", "b", "▁"})
    model.pieces.push_back({text, -1});
  EXPECT_THAT(pieces(model, "aab"), ElementsAre("▁", "aa", "b"));
}

TEST(SentencePiece, AddsTheDummyPrefixAndKeepsSpaces) {
  ModelWriter model = smallModel();
  EXPECT_THAT(pieces(model, "a  a "), ElementsAre("▁a", "▁", "▁a", "▁"));
  EXPECT_THAT(pieces(model, " "), ElementsAre("▁▁"));
  EXPECT_EQ(load(model)->decode(*load(model)->encode("  a  b ")), "  a  b ");
  model.addDummyPrefix = false;
  EXPECT_THAT(pieces(model, "a a"), ElementsAre("a", "▁a"));
  EXPECT_EQ(load(model)->decode(*load(model)->encode(" a")), " a");
}

TEST(SentencePiece, RemovesExtraWhitespaces) {
  ModelWriter model = smallModel();
  model.removeExtraWhitespaces = true;
  EXPECT_THAT(pieces(model, "  a   b "), ElementsAre("▁a", "▁", "b"));
  EXPECT_THAT(pieces(model, "   "), IsEmpty());
  EXPECT_EQ(load(model)->decode(*load(model)->encode("  a   b ")), "a b");
}

TEST(SentencePiece, FallsBackToBytes) {
  ModelWriter model = smallModel();
  EXPECT_THAT(pieces(model, "aé"), ElementsAre("▁a", "<0xC3>", "<0xA9>"));
  EXPECT_EQ(load(model)->decode(*load(model)->encode("aé\n")), "aé\n");
}

TEST(SentencePiece, FusesUnknownCharactersWithoutBytes) {
  ModelWriter model = smallModel();
  model.byteFallback = false;
  EXPECT_THAT(pieces(model, "aéöb"), ElementsAre("▁a", "<unk>", "b"));
}

TEST(SentencePiece, KeepsUserDefinedPiecesWhole) {
  ModelWriter model = smallModel();
  model.pieces.push_back({"b▁", 0, 4});
  model.pieces.push_back({"b▁c", 0, 4});
  EXPECT_THAT(pieces(model, "ab ab c"), ElementsAre("▁a", "b▁", "a", "b▁c"));
}

TEST(SentencePiece, TakesUnusedPiecesApart) {
  ModelWriter model = smallModel();
  for (Piece &piece : model.pieces)
    if (piece.text == "abc" || piece.text == "ab")
      piece.type = 5;
  EXPECT_THAT(pieces(model, "cabc"), ElementsAre("▁", "c", "a", "b", "c"));
}

TEST(SentencePiece, LongTextsAreNoTrouble) {
  // Merging by searching for the best pair anew would take hours.
  std::string text;
  for (int i = 0; i < 1 << 19; ++i)
    text += i % 7 == 3 ? "c " : "ab";
  std::unique_ptr<Tokenizer> tokenizer = load(smallModel());
  Result<std::vector<int32_t>> tokens = tokenizer->encode(text);
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(tokenizer->decode(*tokens), text);
}

TEST(SentencePiece, FindsControlPiecesOnlyWhenAsked) {
  ModelWriter model = smallModel();
  EXPECT_THAT(pieces(model, "a</s>a", {}),
              ElementsAre("<s>", "▁a", "</s>", "▁a"));
  EXPECT_THAT(pieces(model, "a<s>", {.addBos = false, .parseSpecial = false}),
              ElementsAre("▁a", "<0x3C>", "<0x73>", "<0x3E>"));
  std::unique_ptr<Tokenizer> tokenizer = load(model);
  std::vector<int32_t> ids = *tokenizer->encode("a</s>a");
  EXPECT_EQ(tokenizer->decode(ids), "a a");
  EXPECT_EQ(tokenizer->decode(ids, {.skipSpecial = false}), "<s> a</s> a");
}

TEST(SentencePiece, KnowsItsSpecialTokens) {
  std::unique_ptr<Tokenizer> tokenizer = load(smallModel());
  EXPECT_EQ(tokenizer->vocabularySize(), 268);
  EXPECT_EQ(tokenizer->bosToken(), 1);
  EXPECT_THAT(tokenizer->eosTokens(), ElementsAre(2));
  EXPECT_TRUE(tokenizer->isSpecial(0));
  EXPECT_TRUE(tokenizer->isSpecial(2));
  EXPECT_FALSE(tokenizer->isSpecial(3));
  EXPECT_EQ(tokenizer->tokenText(259), "▁a");
  EXPECT_EQ(tokenizer->tokenText(268), "");
  EXPECT_EQ(tokenizer->tokenText(-1), "");
}

TEST(SentencePiece, RefusesWhatItDoesNotImplement) {
  ModelWriter model = smallModel();
  model.modelType = 1;
  EXPECT_EQ(loadError(model, StatusCode::Unsupported),
            "tokenizer.model: a SentencePiece model of type unigram is not "
            "supported, BPE is");
  model.modelType = 3;
  EXPECT_THAT(loadError(model, StatusCode::Unsupported),
              HasSubstr("type 3 is not supported"));
  model = smallModel();
  model.characterMap = "map";
  EXPECT_THAT(loadError(model, StatusCode::Unsupported),
              HasSubstr("normalization rule 'nfkc'"));
}

TEST(SentencePiece, RefusesContradictions) {
  ModelWriter model = smallModel();
  model.pieces.push_back({"abc", 0});
  EXPECT_THAT(loadError(model, StatusCode::DataLoss),
              HasSubstr("token 'abc' has the ids 261 and 268"));
  model.pieces.back() = {"x", std::nanf("")};
  EXPECT_THAT(loadError(model, StatusCode::DataLoss),
              HasSubstr("score of token 268 is not a number"));
  model.pieces.back() = {"x", 0, 7};
  EXPECT_THAT(loadError(model, StatusCode::DataLoss),
              HasSubstr("piece 268: type 7"));
  model.pieces.back() = {"x", 0, 6};
  EXPECT_THAT(loadError(model, StatusCode::DataLoss),
              HasSubstr("byte piece with the text 'x'"));
  model.pieces = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}};
  EXPECT_THAT(loadError(model, StatusCode::DataLoss),
              HasSubstr("byte fallback without a token for every byte"));
  model.pieces.clear();
  EXPECT_THAT(loadError(model, StatusCode::DataLoss), HasSubstr("no pieces"));
}

} // namespace

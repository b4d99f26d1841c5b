//===- StreamingDecoderTest.cpp - Decoding token by token -----------------===//
//
// Characters that arrive in parts, wrong bytes, and the space in front of a
// SentencePiece text.
//
//===----------------------------------------------------------------------===//

#include "TestData.h"

#include <gmock/gmock.h>

#include <random>

using namespace odyssey::runtime;
using namespace odyssey::test;
using testing::ElementsAre;

namespace {

constexpr int32_t kBos = 1, kFirstByte = 3, kSpaceA = 259, kSpace = 260;

std::unique_ptr<Tokenizer> makeTokenizer() {
  ModelWriter model;
  model.pieces = llamaPieces();
  model.pieces.push_back({"▁a", 0});
  model.pieces.push_back({"▁", -1});
  auto tokenizer = loadTokenizer("tokenizer.model", model.write());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

int32_t byteToken(int byte) { return kFirstByte + byte; }

/// What `append` returns for each token, and `finish` at the end.
std::vector<std::string> stream(const Tokenizer &tokenizer,
                                const std::vector<int32_t> &tokens,
                                const DecodeOptions &options = {}) {
  StreamingDecoder decoder(tokenizer, options);
  std::vector<std::string> parts;
  for (int32_t token : tokens)
    parts.push_back(decoder.append(token));
  parts.push_back(decoder.finish());
  return parts;
}

TEST(StreamingDecoder, HoldsBackIncompleteCharacters) {
  std::unique_ptr<Tokenizer> tokenizer = makeTokenizer();
  std::vector<int32_t> smile = {byteToken(0xf0), byteToken(0x9f),
                                byteToken(0x98), byteToken(0x80), kSpaceA};
  EXPECT_THAT(stream(*tokenizer, smile),
              ElementsAre("", "", "", "\U0001f600", " a", ""));
}

TEST(StreamingDecoder, ReplacesWhatNeverCompletes) {
  std::unique_ptr<Tokenizer> tokenizer = makeTokenizer();
  EXPECT_THAT(stream(*tokenizer, {byteToken(0xe2), byteToken(0x82)}),
              ElementsAre("", "", "\ufffd"));
  EXPECT_THAT(stream(*tokenizer, {byteToken(0xe2), byteToken('x')}),
              ElementsAre("", "\ufffdx", ""));
  EXPECT_THAT(stream(*tokenizer, {byteToken(0xff), kSpaceA}),
              ElementsAre("\ufffd", " a", ""));
  EXPECT_THAT(stream(*tokenizer, {byteToken(0xf0), byteToken(0xf0)}),
              ElementsAre("", "\ufffd", "\ufffd"));
}

TEST(StreamingDecoder, DropsOnlyTheFirstSpace) {
  std::unique_ptr<Tokenizer> tokenizer = makeTokenizer();
  EXPECT_THAT(stream(*tokenizer, {kBos, kSpaceA, kSpaceA}),
              ElementsAre("", "a", " a", ""));
  EXPECT_THAT(stream(*tokenizer, {kSpace, kSpaceA}), ElementsAre("", " a", ""));
  EXPECT_THAT(stream(*tokenizer, {byteToken('b'), kSpaceA}),
              ElementsAre("b", " a", ""));
}

TEST(StreamingDecoder, KeepsTheSpaceOfAContinuation) {
  std::unique_ptr<Tokenizer> tokenizer = makeTokenizer();
  EXPECT_THAT(stream(*tokenizer, {kSpaceA, kSpaceA}, {.continuation = true}),
              ElementsAre(" a", " a", ""));
}

TEST(StreamingDecoder, ShowsSpecialTokensOnRequest) {
  std::unique_ptr<Tokenizer> tokenizer = makeTokenizer();
  EXPECT_THAT(stream(*tokenizer, {kBos, kSpaceA}, {.skipSpecial = false}),
              ElementsAre("<s>", " a", ""));
}

TEST(StreamingDecoder, StartsAnewAfterFinish) {
  std::unique_ptr<Tokenizer> tokenizer = makeTokenizer();
  StreamingDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.append(kSpaceA), "a");
  EXPECT_EQ(decoder.append(byteToken(0xc3)), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
  EXPECT_EQ(decoder.append(kSpaceA), "a");
}

TEST(StreamingDecoder, AgreesWithDecodeForAnyTokens) {
  std::unique_ptr<Tokenizer> tokenizer = makeTokenizer();
  std::mt19937_64 random(20);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int32_t> tokens(random() % 12);
    // Now and then an id just outside the vocabulary.
    for (int32_t &token : tokens)
      token = static_cast<int32_t>(random() % 263) - 1;
    for (bool skipSpecial : {false, true}) {
      DecodeOptions options = {.skipSpecial = skipSpecial};
      std::string together;
      for (const std::string &part : stream(*tokenizer, tokens, options))
        together += part;
      EXPECT_EQ(together, tokenizer->decode(tokens, options));
      // What comes out is UTF-8: the tokenizer itself takes it.
      EXPECT_TRUE(tokenizer->encode(together).ok());
    }
  }
}

} // namespace

//===- HuggingFaceTest.cpp - Small tokenizer.json files -------------------===//
//
// Each test writes a tokenizer.json that has one part of the format in it.
//
//===----------------------------------------------------------------------===//

#include "TestData.h"

#include <gmock/gmock.h>

using namespace odyssey::runtime;
using namespace odyssey::test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// The parts of a tokenizer.json, as JSON.
struct Parts {
  std::string addedTokens = "[]";
  std::string normalizer = "null";
  std::string preTokenizer = "null";
  std::string postProcessor = "null";
  std::string decoder = R"({"type":"Fuse"})";
  /// Members of the model other than the vocabulary and the merges.
  std::string modelMembers = R"("type":"BPE")";
  std::string vocabulary;
  std::string merges = "[]";

  std::string write() const {
    return R"({"added_tokens":)" + addedTokens + R"(,"normalizer":)" +
           normalizer + R"(,"pre_tokenizer":)" + preTokenizer +
           R"(,"post_processor":)" + postProcessor + R"(,"decoder":)" +
           decoder + R"(,"model":{)" + modelMembers + R"(,"vocab":)" +
           vocabulary + R"(,"merges":)" + merges + "}}";
  }
};

/// Letters, a few merges, and an unknown token.
Parts letters() {
  Parts parts;
  parts.modelMembers = R"("type":"BPE","unk_token":"?","fuse_unk":true)";
  parts.vocabulary = R"({"?":0,"a":1,"b":2,"c":3," ":4,"ab":5,"abc":6,"1":7,
    "2":8,"12":9,"aa":10,"▁":11,"▁a":12,"bc":13})";
  parts.merges = R"(["a b","ab c","1 2","a a","▁ a","b c"])";
  return parts;
}

std::unique_ptr<Tokenizer> load(const Parts &parts) {
  auto tokenizer = loadTokenizer("tokenizer.json", parts.write());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

std::string loadError(const Parts &parts,
                      StatusCode code = StatusCode::Unsupported) {
  auto tokenizer = loadTokenizer("tokenizer.json", parts.write());
  EXPECT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().code(), code) << tokenizer.status().message();
  return tokenizer.status().message();
}

/// The texts of the tokens of `text`.
std::vector<std::string> pieces(const Parts &parts, std::string_view text,
                                const EncodeOptions &options = {}) {
  std::unique_ptr<Tokenizer> tokenizer = load(parts);
  std::vector<std::string> result;
  if (!tokenizer)
    return result;
  Result<std::vector<int32_t>> tokens = tokenizer->encode(text, options);
  EXPECT_TRUE(tokens.ok()) << tokens.status().message();
  for (int32_t token : tokens.ok() ? *tokens : std::vector<int32_t>())
    result.emplace_back(tokenizer->tokenText(token));
  return result;
}

//===----------------------------------------------------------------------===//
// Model
//===----------------------------------------------------------------------===//

TEST(HuggingFaceModel, MergesByRankThenFromTheLeft) {
  EXPECT_THAT(pieces(letters(), "abc"), ElementsAre("abc"));
  EXPECT_THAT(pieces(letters(), "bc"), ElementsAre("bc"));
  EXPECT_THAT(pieces(letters(), "aaab"), ElementsAre("aa", "ab"));
  EXPECT_THAT(pieces(letters(), "aaa"), ElementsAre("aa", "a"));
  EXPECT_THAT(pieces(letters(), ""), IsEmpty());
}

TEST(HuggingFaceModel, ReadsMergesAsPairs) {
  Parts parts = letters();
  parts.merges = R"([["a","b"],["ab","c"]])";
  EXPECT_THAT(pieces(parts, "abcbc"), ElementsAre("abc", "b", "c"));
}

TEST(HuggingFaceModel, FusesUnknownCharacters) {
  Parts parts = letters();
  EXPECT_THAT(pieces(parts, "aéxb"), ElementsAre("a", "?", "b"));
  parts.modelMembers = R"("type":"BPE","unk_token":"?","fuse_unk":false)";
  EXPECT_THAT(pieces(parts, "aéxb"), ElementsAre("a", "?", "?", "b"));
  // Without an unknown token they vanish, and what stood around them merges.
  parts.modelMembers = R"("type":"BPE","unk_token":null)";
  EXPECT_THAT(pieces(parts, "aéxb"), ElementsAre("ab"));
}

TEST(HuggingFaceModel, FallsBackToBytesWhereTheyAreTokens) {
  Parts parts = letters();
  parts.modelMembers = R"("type":"BPE","unk_token":"?","byte_fallback":true)";
  parts.vocabulary = R"({"?":0,"a":1,"<0xC3>":2,"<0xA9>":3})";
  parts.merges = "[]";
  parts.decoder = R"({"type":"ByteFallback"})";
  EXPECT_THAT(pieces(parts, "aéö"), ElementsAre("a", "<0xC3>", "<0xA9>", "?"));
  EXPECT_EQ(load(parts)->decode(std::vector<int32_t>{1, 2, 3}), "aé");
}

TEST(HuggingFaceModel, CanIgnoreMergesForWholeWords) {
  Parts parts = letters();
  parts.merges = "[]";
  EXPECT_THAT(pieces(parts, "abc"), ElementsAre("a", "b", "c"));
  parts.modelMembers = R"("type":"BPE","ignore_merges":true)";
  EXPECT_THAT(pieces(parts, "abc"), ElementsAre("abc"));
}

TEST(HuggingFaceModel, RefusesWhatItDoesNotImplement) {
  Parts parts = letters();
  parts.modelMembers = R"("type":"Unigram")";
  EXPECT_EQ(loadError(parts), "tokenizer.json: model.type 'Unigram' is not "
                              "supported, 'BPE' is");
  parts.modelMembers = R"("type":"BPE","end_of_word_suffix":"</w>")";
  EXPECT_THAT(loadError(parts), HasSubstr("'model.end_of_word_suffix'"));
  parts.modelMembers = R"("type":"BPE","dropout":0.1)";
  EXPECT_THAT(loadError(parts), HasSubstr("'model.dropout'"));
}

TEST(HuggingFaceModel, RefusesContradictions) {
  auto error = [](const Parts &parts) {
    return loadError(parts, StatusCode::DataLoss);
  };
  Parts parts = letters();
  parts.merges = R"(["a x"])";
  EXPECT_THAT(error(parts), HasSubstr("merge 0 ('a' with 'x')"));
  parts.merges = R"(["a"])";
  EXPECT_THAT(error(parts), HasSubstr("merge 0 is not a pair"));
  parts = letters();
  parts.vocabulary = R"({"?":0,"a":0})";
  EXPECT_THAT(error(parts), HasSubstr("id 0 belongs to"));
  parts.vocabulary = R"({"?":0,"a":-1})";
  EXPECT_THAT(error(parts), HasSubstr("token 'a' of the model has no id"));
  parts.vocabulary = R"({"?":0,"a":4000000000})";
  EXPECT_THAT(error(parts), HasSubstr("far beyond the number of tokens"));
  parts.vocabulary = "[]";
  EXPECT_THAT(error(parts), HasSubstr("'model.vocab' is not an object"));
  parts = letters();
  parts.modelMembers = R"("type":"BPE","unk_token":"<unk>")";
  EXPECT_THAT(error(parts), HasSubstr("unknown token '<unk>'"));
  EXPECT_EQ(loadTokenizer("x.json", "{").status().message(),
            "x.json: not valid JSON");
  EXPECT_EQ(loadTokenizer("x.json", "[]").status().message(),
            "x.json: not a JSON object");
  EXPECT_EQ(loadTokenizer("x.txt", "").status().code(),
            StatusCode::InvalidArgument);
}

//===----------------------------------------------------------------------===//
// Added tokens
//===----------------------------------------------------------------------===//

std::string addedToken(int id, std::string_view content,
                       std::string_view members) {
  return R"({"id":)" + std::to_string(id) + R"(,"content":")" +
         std::string(content) + "\"," + std::string(members) + "}";
}

TEST(HuggingFaceAddedTokens, TakesTheLongestFromTheLeft) {
  Parts parts = letters();
  parts.addedTokens = "[" + addedToken(20, "<a", R"("normalized":false)") +
                      "," + addedToken(21, "<ab>", R"("normalized":false)") +
                      "]";
  EXPECT_THAT(pieces(parts, "b<ab>c<abc"),
              ElementsAre("b", "<ab>", "c", "<a", "bc"));
  EXPECT_EQ(load(parts)->vocabularySize(), 22);
  EXPECT_EQ(load(parts)->tokenText(15), "");
}

TEST(HuggingFaceAddedTokens, LeavesSpecialTextAloneOnRequest) {
  Parts parts = letters();
  parts.addedTokens =
      "[" + addedToken(20, "<a>", R"("normalized":false,"special":true)") +
      "," + addedToken(21, "<b>", R"("normalized":false)") + "]";
  EXPECT_THAT(pieces(parts, "<a><b>"), ElementsAre("<a>", "<b>"));
  EXPECT_THAT(pieces(parts, "<a><b>", {.parseSpecial = false}),
              ElementsAre("?", "a", "?", "<b>"));
  EXPECT_TRUE(load(parts)->isSpecial(20));
  EXPECT_FALSE(load(parts)->isSpecial(21));
  EXPECT_FALSE(load(parts)->isSpecial(1));
  EXPECT_FALSE(load(parts)->isSpecial(-1));
  EXPECT_FALSE(load(parts)->isSpecial(22));
}

TEST(HuggingFaceAddedTokens, StripsAndMindsWords) {
  Parts parts = letters();
  parts.addedTokens =
      "[" + addedToken(20, "<l>", R"("normalized":false,"lstrip":true)") + "," +
      addedToken(21, "<r>", R"("normalized":false,"rstrip":true)") + "," +
      addedToken(22, "abab", R"("normalized":false,"single_word":true)") + "]";
  EXPECT_THAT(pieces(parts, "a  <l> b"), ElementsAre("a", "<l>", " ", "b"));
  EXPECT_THAT(pieces(parts, "a <r> \u2003 b"),
              ElementsAre("a", " ", "<r>", "b"));
  EXPECT_THAT(pieces(parts, "a<r> <l>"), ElementsAre("a", "<r>", "<l>"));
  EXPECT_THAT(pieces(parts, "abab 1abab"),
              ElementsAre("abab", " ", "1", "ab", "ab"));
}

TEST(HuggingFaceAddedTokens, LooksForSomeInNormalizedText) {
  Parts parts = letters();
  parts.normalizer =
      R"({"type":"Replace","pattern":{"String":"x"},"content":"c"})";
  parts.addedTokens = "[" + addedToken(20, "bx", R"("normalized":true)") + "]";
  EXPECT_THAT(pieces(parts, "abx abc"), ElementsAre("a", "bx", " ", "a", "bx"));
}

TEST(HuggingFaceAddedTokens, RefusesContradictions) {
  Parts parts = letters();
  parts.addedTokens = "[" + addedToken(1, "b", R"("special":true)") + "]";
  EXPECT_THAT(loadError(parts, StatusCode::DataLoss),
              HasSubstr("id 1 belongs to 'a' and to 'b'"));
  parts.addedTokens = R"([{"content":"x"}])";
  EXPECT_THAT(loadError(parts, StatusCode::DataLoss),
              HasSubstr("added token 0: 'id' is not a token id"));
}

//===----------------------------------------------------------------------===//
// Normalizers and pre-tokenizers
//===----------------------------------------------------------------------===//

TEST(HuggingFaceNormalizer, PrependsAndReplaces) {
  Parts parts = letters();
  parts.normalizer = R"({"type":"Sequence","normalizers":[
    {"type":"Prepend","prepend":"a"},
    {"type":"Replace","pattern":{"Regex":"1+"},"content":"2"}]})";
  EXPECT_THAT(pieces(parts, "b111b1"), ElementsAre("ab", "2", "b", "2"));
  EXPECT_THAT(pieces(parts, ""), IsEmpty());
  parts.normalizer = R"({"type":"Nmt"})";
  EXPECT_EQ(loadError(parts),
            "tokenizer.json: normalizer: Nmt: is not supported");
}

TEST(HuggingFaceNormalizer, UnicodeForms) {
  Parts parts = letters();
  // e with an acute accent as one character (U+E9) and as two, a Hangul
  // syllable and its parts, and the ligature fi (U+FB01).
  parts.vocabulary = R"({"?":0,"e":1,"\u00e9":2,"\u0301":3,"\uac00":4,
    "\u1100":5,"\u1161":6,"\ufb01":7,"f":8,"i":9})";
  parts.merges = "[]";
  auto normalized = [&](const char *form, const char *text) {
    parts.normalizer = std::string(R"({"type":")") + form + R"("})";
    return pieces(parts, text);
  };
  const char *apart = "e\u0301\u1100\u1161\ufb01",
             *whole = "\u00e9\uac00\ufb01";
  for (const char *text : {apart, whole}) {
    EXPECT_THAT(normalized("NFC", text),
                ElementsAre("\u00e9", "\uac00", "\ufb01"));
    EXPECT_THAT(normalized("NFD", text),
                ElementsAre("e", "\u0301", "\u1100", "\u1161", "\ufb01"));
    EXPECT_THAT(normalized("NFKC", text),
                ElementsAre("\u00e9", "\uac00", "f", "i"));
    EXPECT_THAT(normalized("NFKD", text),
                ElementsAre("e", "\u0301", "\u1100", "\u1161", "f", "i"));
  }
  EXPECT_THAT(normalized("NFC", ""), IsEmpty());
}

TEST(HuggingFacePreTokenizer, SplitsInAllWays) {
  struct Case {
    const char *behavior;
    bool invert;
    std::vector<std::string> words;
  };
  // The pattern matches "1", "1" and "2" in "a11b2".
  const Case cases[] = {
      {"Isolated", false, {"a", "1", "1", "b", "2"}},
      {"Removed", false, {"a", "b"}},
      {"Removed", true, {"1", "1", "2"}},
      {"MergedWithPrevious", false, {"a1", "1", "b2"}},
      {"MergedWithNext", false, {"a", "1", "1b", "2"}},
      {"Contiguous", false, {"a", "11", "b", "2"}},
  };
  for (const Case &c : cases) {
    Parts parts;
    parts.modelMembers = R"("type":"BPE","ignore_merges":true)";
    parts.vocabulary = R"({"a":0,"b":1,"1":2,"2":3,"a1":4,"b2":5,"1b":6,
      "11":7,"a11b2":8})";
    parts.preTokenizer = R"({"type":"Split","pattern":{"Regex":"\\d"},)"
                         R"("behavior":")" +
                         std::string(c.behavior) + R"(","invert":)" +
                         (c.invert ? "true}" : "false}");
    EXPECT_EQ(pieces(parts, "a11b2"), c.words)
        << c.behavior << (c.invert ? " inverted" : "");
  }
}

TEST(HuggingFacePreTokenizer, KnowsDigitsAndWhitespace) {
  Parts parts = letters();
  parts.preTokenizer = R"({"type":"Digits","individual_digits":true})";
  EXPECT_THAT(pieces(parts, "a12b"), ElementsAre("a", "1", "2", "b"));
  parts.preTokenizer = R"({"type":"Digits","individual_digits":false})";
  EXPECT_THAT(pieces(parts, "a12b"), ElementsAre("a", "12", "b"));
  parts.preTokenizer = R"({"type":"WhitespaceSplit"})";
  EXPECT_THAT(pieces(parts, " a b\u2003\tab"), ElementsAre("a", "b", "ab"));
  parts.preTokenizer = R"({"type":"Whitespace"})";
  EXPECT_THAT(pieces(parts, "ab!c"), ElementsAre("ab", "?", "c"));
  parts.preTokenizer = R"({"type":"BertPreTokenizer"})";
  EXPECT_EQ(loadError(parts), "tokenizer.json: pre_tokenizer: "
                              "BertPreTokenizer: is not supported");
}

TEST(HuggingFacePreTokenizer, MetaspacePrependsByScheme) {
  auto metaspace = [](const char *members) {
    Parts parts = letters();
    parts.addedTokens =
        R"([{"id":20,"content":"<x>","normalized":false,"special":true}])";
    parts.preTokenizer =
        std::string(R"({"type":"Metaspace","replacement":"▁",)") + members +
        "}";
    return parts;
  };
  Parts always = metaspace(R"("prepend_scheme":"always","split":true)");
  EXPECT_THAT(pieces(always, "a a<x>a"), ElementsAre("▁a", "▁a", "<x>", "▁a"));
  EXPECT_THAT(pieces(always, " a"), ElementsAre("▁a"));
  Parts first = metaspace(R"("prepend_scheme":"first","split":false)");
  EXPECT_THAT(pieces(first, "a a<x>a"), ElementsAre("▁a", "▁a", "<x>", "a"));
  Parts never = metaspace(R"("add_prefix_space":false)");
  EXPECT_THAT(pieces(never, "a a<x>a"), ElementsAre("a", "▁a", "<x>", "a"));
}

TEST(HuggingFacePreTokenizer, TranslatesOnigurumaClasses) {
  auto split = [](std::string pattern) {
    Parts parts = letters();
    parts.preTokenizer = R"({"type":"Split","behavior":"Removed","pattern":)"
                         R"({"Regex":")" +
                         pattern + R"("}})";
    return parts;
  };
  // U+180E is white space for PCRE2's \s, but not for Unicode.
  EXPECT_THAT(pieces(split("\\\\s"), "a\u0085b\u180eb"),
              ElementsAre("a", "b", "?", "b"));
  EXPECT_THAT(pieces(split("[^\\\\w]"), "a-b½"), ElementsAre("a", "b", "?"));
  EXPECT_THAT(pieces(split("(?i:B)|[]1]"), "abA1]c"),
              ElementsAre("a", "?", "c"));
  EXPECT_THAT(loadError(split("[a[bc]]")), HasSubstr("nested class"));
  EXPECT_THAT(loadError(split("[a&&b]")), HasSubstr("class intersection"));
  EXPECT_THAT(loadError(split("("), StatusCode::DataLoss),
              HasSubstr("does not compile at offset 1"));
  EXPECT_THAT(loadError(split(""), StatusCode::DataLoss),
              HasSubstr("empty 'pattern'"));
}

TEST(HuggingFacePreTokenizer, ByteLevelWritesBytes) {
  Parts parts;
  parts.preTokenizer = R"({"type":"ByteLevel","add_prefix_space":true})";
  parts.decoder = R"({"type":"ByteLevel"})";
  parts.vocabulary = R"({"Ġ":0,"a":1,"Ġa":2,"Ã":3,"©":4,"Ã©":5,"Ċ":6})";
  parts.merges = R"(["Ġ a","Ã ©"])";
  EXPECT_THAT(pieces(parts, "a aé\n"), ElementsAre("Ġa", "Ġa", "Ã©", "Ċ"));
  EXPECT_EQ(load(parts)->decode(std::vector<int32_t>{2, 5, 6}), " aé\n");
}

TEST(HuggingFacePreTokenizer, StopsAtDeepSequences) {
  Parts parts = letters();
  parts.preTokenizer = R"({"type":"Digits"})";
  for (int i = 0; i < 100; ++i)
    parts.preTokenizer =
        R"({"type":"Sequence","pretokenizers":[)" + parts.preTokenizer + "]}";
  EXPECT_THAT(loadError(parts, StatusCode::DataLoss), HasSubstr("nested"));
}

//===----------------------------------------------------------------------===//
// Decoders and post-processors
//===----------------------------------------------------------------------===//

TEST(HuggingFaceDecoder, StripsOneSpaceOfTheText) {
  Parts parts = letters();
  parts.decoder = R"({"type":"Sequence","decoders":[
    {"type":"Replace","pattern":{"String":"▁"},"content":" "},
    {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})";
  std::unique_ptr<Tokenizer> tokenizer = load(parts);
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{12, 12}), "a a");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{11, 12}), " a");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{2, 12}), "b a");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{-1, 12, 99}), "a");
}

TEST(HuggingFaceDecoder, MetaspaceDropsTheFirst) {
  Parts parts = letters();
  parts.decoder = R"({"type":"Metaspace","replacement":"▁"})";
  EXPECT_EQ(load(parts)->decode(std::vector<int32_t>{12, 12}), "a a");
}

TEST(HuggingFaceDecoder, RefusesWhatItDoesNotImplement) {
  Parts parts = letters();
  parts.decoder = "null";
  EXPECT_THAT(loadError(parts), HasSubstr("without a decoder"));
  parts.decoder = R"({"type":"WordPiece"})";
  EXPECT_EQ(loadError(parts),
            "tokenizer.json: decoder: WordPiece: is not supported");
  parts.decoder = R"({"type":"Strip","content":" ","start":1,"stop":0})";
  EXPECT_THAT(loadError(parts), HasSubstr("fused text"));
}

TEST(HuggingFacePostProcessor, TellsWhatStandsBeforeAndBehind) {
  Parts parts = letters();
  parts.addedTokens =
      R"([{"id":20,"content":"<s>","special":true,"normalized":false},
          {"id":21,"content":"</s>","special":true,"normalized":false},
          {"id":22,"content":"<end>","special":true,"normalized":false}])";
  EXPECT_EQ(load(parts)->bosToken(), std::nullopt);
  EXPECT_THAT(load(parts)->eosTokens(), ElementsAre(21));
  EXPECT_EQ(load(parts)->encode("a", {.addBos = true}).status().message(),
            "the tokenizer has no beginning-of-sequence token");

  parts.postProcessor = R"({"type":"Sequence","processors":[
    {"type":"ByteLevel"},{"type":"TemplateProcessing","single":[
    {"SpecialToken":{"id":"<s>","type_id":0}},
    {"Sequence":{"id":"A","type_id":0}},
    {"SpecialToken":{"id":"<end>","type_id":0}}],"special_tokens":{
    "<s>":{"id":"<s>","ids":[20],"tokens":["<s>"]},
    "<end>":{"id":"<end>","ids":[22],"tokens":["<end>"]}}}]})";
  EXPECT_EQ(load(parts)->bosToken(), 20);
  EXPECT_THAT(load(parts)->eosTokens(), ElementsAre(21, 22));
  EXPECT_THAT(pieces(parts, "a"), ElementsAre("<s>", "a"));
  EXPECT_THAT(pieces(parts, "a", {.addBos = false}), ElementsAre("a"));

  parts.postProcessor = R"({"type":"TemplateProcessing","single":[
    {"SpecialToken":{"id":"<s>","type_id":0}}],"special_tokens":{
    "<s>":{"id":"<s>","ids":[23],"tokens":["<s>"]}}})";
  EXPECT_THAT(loadError(parts, StatusCode::DataLoss),
              HasSubstr("'<s>' has an id outside the vocabulary"));
}

TEST(HuggingFaceEncode, NamesTheByteThatIsNoUtf8) {
  std::unique_ptr<Tokenizer> tokenizer = load(letters());
  const std::pair<std::string, size_t> cases[] = {
      {"ab\xff", 2},           // no first byte
      {"a\x80", 1},            // continuation without a beginning
      {"\xc3", 0},             // cut off
      {"é\xe2\x82z", 2},       // cut short
      {"\xc0\x80", 0},         // overlong
      {"\xed\xa0\x80", 0},     // surrogate
      {"\xf4\x90\x80\x80", 0}, // above U+10FFFF
  };
  for (const auto &[text, offset] : cases) {
    Result<std::vector<int32_t>> tokens = tokenizer->encode(text);
    ASSERT_FALSE(tokens.ok());
    EXPECT_EQ(tokens.status().code(), StatusCode::InvalidArgument);
    EXPECT_EQ(tokens.status().message(),
              "text is not valid UTF-8 at byte " + std::to_string(offset));
  }
}

} // namespace

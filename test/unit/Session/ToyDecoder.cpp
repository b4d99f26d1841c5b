//===- ToyDecoder.cpp - A decoder small enough to know by heart -----------===//

#include "ToyDecoder.h"

#include <cstdlib>

using nlohmann::json;

namespace odyssey::runtime::testing {

namespace {

constexpr int kBlock = 4;

int pagesPerSequence(const ToyOptions &options) {
  return (options.context + options.pageTokens - 1) / options.pageTokens;
}

json kernel(const char *name, const char *kind) {
  return {{"name", name},
          {"module", 0},
          {"kind", kind},
          {"block", {kBlock, 1, 1}},
          {"shared_bytes", 0},
          {"cluster", {1, 1, 1}},
          {"programmatic_dependent_launch", false}};
}

json tensor(const char *name, const char *type, json shape) {
  return {{"name", name}, {"type", type}, {"shape", std::move(shape)}};
}

json oneThreadPerToken(int kernelIndex, json arguments) {
  return {{"kernel", kernelIndex},
          {"grid", {{1, kBlock}, {1, 0}, {1, 0}}},
          {"arguments", std::move(arguments)}};
}

/// The same steps for one token and for a whole step.
json buckets(const ToyOptions &options, const json &steps) {
  json result = json::array();
  for (int tokens : {1, options.maxTokensPerStep})
    result.push_back(
        {{"tokens", tokens}, {"workspace_bytes", 0}, {"steps", steps}});
  return result;
}

constexpr char kCharacters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,!?'-:;";

} // namespace

json toyPlan(const ToyOptions &options) {
  int pageCount = pagesPerSequence(options);
  json forwardSteps = {oneThreadPerToken(0, {{{"input", 0}},
                                             {{"input", 1}},
                                             {{"input", 2}},
                                             {{"input", 3}},
                                             {{"state", 0}},
                                             {{"tokens", true}},
                                             {{"i32", pageCount}},
                                             {{"i32", options.pageTokens}}}),
                       oneThreadPerToken(1, {{{"input", 1}},
                                             {{"input", 2}},
                                             {{"input", 3}},
                                             {{"state", 0}},
                                             {{"state", 1}},
                                             {{"tokens", true}},
                                             {{"i32", pageCount}},
                                             {{"i32", options.pageTokens}}})};
  json logitsSteps = {oneThreadPerToken(2, {{{"input", 0}},
                                            {{"state", 0}},
                                            {{"output", 0}},
                                            {{"output", 1}},
                                            {{"tokens", true}},
                                            {{"i32", options.vocabulary}}})};
  return {
      {"format", 1},
      {"producer", "toy"},
      {"target", options.target},
      {"modules",
       json::array({{{"name", "kernels"},
                     {"ptx", "kernels." + options.target + ".ptx"}}})},
      {"kernels",
       {kernel("toy_append", "embedding"), kernel("toy_attend", "attention"),
        kernel("toy_logits", "lm_head")}},
      {"weights", json::array()},
      {"states",
       {tensor("kv_cache", "i32",
               {1, options.pages, 2, 1, options.pageTokens, 1}),
        tensor("hidden", "i32", {options.maxTokensPerStep, 1})}},
      {"functions",
       {{{"name", "forward"},
         {"inputs",
          {tensor("tokens", "i32", json::array({"tokens"})),
           tensor("positions", "i32", json::array({"tokens"})),
           tensor("sequences", "i32", json::array({"tokens"})),
           tensor("page_table", "i32", {options.maxBatch, pageCount})}},
         {"outputs", json::array()},
         {"states", {"kv_cache", "hidden"}},
         {"buckets", buckets(options, forwardSteps)}},
        {{"name", "logits"},
         {"inputs", {tensor("rows", "i32", json::array({"tokens"}))}},
         {"outputs",
          {tensor("logits", "f32", {"tokens", options.vocabulary}),
           tensor("next_token", "i32", json::array({"tokens"}))}},
         {"states", json::array({"hidden"})},
         {"buckets", buckets(options, logitsSteps)}}}},
      {"model",
       {{"kind", "decoder"},
        {"name", "toy"},
        {"forward", "forward"},
        {"logits", "logits"},
        {"vocabulary", options.vocabulary},
        {"context", options.context},
        {"max_batch", options.maxBatch},
        {"page_tokens", options.pageTokens},
        {"max_tokens_per_step", options.maxTokensPerStep},
        {"padded_steps", options.paddedSteps},
        {"tokenizer", "tokenizer.json"},
        {"bos", 1},
        {"eos", json::array({options.eos})},
        {"add_bos", options.addBos}}}};
}

std::string toyTokenizer() {
  json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  int id = 3;
  for (const char *c = kCharacters; *c; ++c)
    vocabulary[std::string(1, *c)] = id++;
  auto special = [](int tokenId, const char *content) {
    return json{{"id", tokenId},   {"content", content}, {"single_word", false},
                {"lstrip", false}, {"rstrip", false},    {"normalized", false},
                {"special", true}};
  };
  json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder", {{"type", "Fuse"}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", "<unk>"},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocabulary},
        {"merges", json::array()}}}};
  return tokenizer.dump();
}

BundleBuilder toyBundle(const ToyOptions &options) {
  return BundleBuilder()
      .plan(toyPlan(options))
      .add("kernels." + options.target + ".ptx", toyPtx())
      .add("tokenizer.json", toyTokenizer());
}

std::string toyPtx() {
  return R"(
.version 7.8
.target sm_80
.address_size 64

.visible .entry toy_append(
  .param .u64 tokens, .param .u64 positions, .param .u64 sequences,
  .param .u64 page_table, .param .u64 kv_cache, .param .u32 m,
  .param .u32 row_pages, .param .u32 page_tokens)
{
  .reg .pred %p<2>;
  .reg .b32 %r<20>;
  .reg .b64 %rd<16>;

  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [m];
  setp.ge.s32 %p1, %r4, %r5;
  @%p1 bra done;
  ld.param.u64 %rd1, [tokens];
  ld.param.u64 %rd2, [positions];
  ld.param.u64 %rd3, [sequences];
  ld.param.u64 %rd4, [page_table];
  ld.param.u64 %rd5, [kv_cache];
  ld.param.u32 %r6, [row_pages];
  ld.param.u32 %r7, [page_tokens];
  mul.wide.s32 %rd6, %r4, 4;
  add.s64 %rd7, %rd1, %rd6;
  ld.global.u32 %r8, [%rd7];
  add.s64 %rd7, %rd2, %rd6;
  ld.global.u32 %r9, [%rd7];
  setp.lt.s32 %p1, %r9, 0;
  @%p1 bra done;
  add.s64 %rd7, %rd3, %rd6;
  ld.global.u32 %r10, [%rd7];
  div.s32 %r11, %r9, %r7;
  rem.s32 %r12, %r9, %r7;
  mad.lo.s32 %r13, %r10, %r6, %r11;
  mul.wide.s32 %rd8, %r13, 4;
  add.s64 %rd9, %rd4, %rd8;
  ld.global.u32 %r14, [%rd9];
  shl.b32 %r15, %r14, 1;
  mad.lo.s32 %r16, %r15, %r7, %r12;
  mul.wide.s32 %rd10, %r16, 4;
  add.s64 %rd11, %rd5, %rd10;
  st.global.u32 [%rd11], %r8;
done:
  ret;
}

.visible .entry toy_attend(
  .param .u64 positions, .param .u64 sequences, .param .u64 page_table,
  .param .u64 kv_cache, .param .u64 hidden, .param .u32 m,
  .param .u32 row_pages, .param .u32 page_tokens)
{
  .reg .pred %p<3>;
  .reg .b32 %r<24>;
  .reg .b64 %rd<16>;

  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [m];
  setp.ge.s32 %p1, %r4, %r5;
  @%p1 bra done;
  ld.param.u64 %rd1, [positions];
  ld.param.u64 %rd2, [sequences];
  ld.param.u64 %rd3, [page_table];
  ld.param.u64 %rd4, [kv_cache];
  ld.param.u64 %rd5, [hidden];
  ld.param.u32 %r6, [row_pages];
  ld.param.u32 %r7, [page_tokens];
  mul.wide.s32 %rd6, %r4, 4;
  add.s64 %rd7, %rd1, %rd6;
  ld.global.u32 %r9, [%rd7];
  add.s64 %rd7, %rd2, %rd6;
  ld.global.u32 %r10, [%rd7];
  mov.u32 %r17, 0;
  mov.u32 %r18, 0;
  setp.lt.s32 %p1, %r9, 0;
  @%p1 bra store;
loop:
  div.s32 %r11, %r18, %r7;
  rem.s32 %r12, %r18, %r7;
  mad.lo.s32 %r13, %r10, %r6, %r11;
  mul.wide.s32 %rd8, %r13, 4;
  add.s64 %rd9, %rd3, %rd8;
  ld.global.u32 %r14, [%rd9];
  shl.b32 %r15, %r14, 1;
  mad.lo.s32 %r16, %r15, %r7, %r12;
  mul.wide.s32 %rd10, %r16, 4;
  add.s64 %rd11, %rd4, %rd10;
  ld.global.u32 %r8, [%rd11];
  add.s32 %r18, %r18, 1;
  mad.lo.s32 %r17, %r8, %r18, %r17;
  setp.le.s32 %p2, %r18, %r9;
  @%p2 bra loop;
store:
  add.s64 %rd12, %rd5, %rd6;
  st.global.u32 [%rd12], %r17;
done:
  ret;
}

.visible .entry toy_logits(
  .param .u64 rows, .param .u64 hidden, .param .u64 logits,
  .param .u64 next_token, .param .u32 m, .param .u32 vocabulary)
{
  .reg .pred %p<3>;
  .reg .b32 %r<16>;
  .reg .b64 %rd<16>;

  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [m];
  setp.ge.s32 %p1, %r4, %r5;
  @%p1 bra done;
  ld.param.u64 %rd1, [rows];
  ld.param.u64 %rd2, [hidden];
  ld.param.u64 %rd3, [logits];
  ld.param.u64 %rd4, [next_token];
  ld.param.u32 %r6, [vocabulary];
  mul.wide.s32 %rd5, %r4, 4;
  add.s64 %rd6, %rd1, %rd5;
  ld.global.u32 %r7, [%rd6];
  mul.wide.s32 %rd7, %r7, 4;
  add.s64 %rd8, %rd2, %rd7;
  ld.global.u32 %r8, [%rd8];
  rem.s32 %r9, %r8, %r6;
  add.s64 %rd9, %rd4, %rd5;
  st.global.u32 [%rd9], %r9;
  mul.lo.s32 %r10, %r4, %r6;
  mul.wide.s32 %rd10, %r10, 4;
  add.s64 %rd11, %rd3, %rd10;
  mov.u32 %r11, 0;
loop:
  sub.s32 %r12, %r11, %r9;
  abs.s32 %r13, %r12;
  neg.s32 %r14, %r13;
  cvt.rn.f32.s32 %r15, %r14;
  st.global.b32 [%rd11], %r15;
  add.s64 %rd11, %rd11, 4;
  add.s32 %r11, %r11, 1;
  setp.lt.s32 %p2, %r11, %r6;
  @%p2 bra loop;
done:
  ret;
}
)";
}

void addToyKernels(FakeDevice &device) {
  auto entry = [](const int32_t *table, int32_t sequence, int32_t position,
                  int32_t rowPages, int32_t pageTokens) {
    int32_t page = table[sequence * rowPages + position / pageTokens];
    return page * 2 * pageTokens + position % pageTokens;
  };
  device.kernels["toy_append"] = [=](const FakeLaunch &launch) {
    auto *tokens = launch.pointer<int32_t>(0);
    auto *positions = launch.pointer<int32_t>(1);
    auto *sequences = launch.pointer<int32_t>(2);
    auto *cache = launch.pointer<int32_t>(4);
    for (int m = 0; m < launch.i32(5); ++m)
      if (positions[m] >= 0)
        cache[entry(launch.pointer<int32_t>(3), sequences[m], positions[m],
                    launch.i32(6), launch.i32(7))] = tokens[m];
  };
  device.kernels["toy_attend"] = [=](const FakeLaunch &launch) {
    auto *positions = launch.pointer<int32_t>(0);
    auto *sequences = launch.pointer<int32_t>(1);
    auto *cache = launch.pointer<int32_t>(3);
    auto *hidden = launch.pointer<int32_t>(4);
    for (int m = 0; m < launch.i32(5); ++m) {
      hidden[m] = 0;
      for (int j = 0; j <= positions[m]; ++j)
        hidden[m] +=
            (j + 1) * cache[entry(launch.pointer<int32_t>(2), sequences[m], j,
                                  launch.i32(6), launch.i32(7))];
    }
  };
  device.kernels["toy_logits"] = [=](const FakeLaunch &launch) {
    auto *rows = launch.pointer<int32_t>(0);
    auto *hidden = launch.pointer<int32_t>(1);
    auto *logits = launch.pointer<float>(2);
    auto *next = launch.pointer<int32_t>(3);
    int32_t vocabulary = launch.i32(5);
    for (int m = 0; m < launch.i32(4); ++m) {
      next[m] = hidden[rows[m]] % vocabulary;
      for (int v = 0; v < vocabulary; ++v)
        logits[m * vocabulary + v] = -static_cast<float>(std::abs(v - next[m]));
    }
  };
}

int32_t toyNextToken(std::span<const int32_t> tokens,
                     const ToyOptions &options) {
  int64_t hidden = 0;
  for (size_t j = 0; j < tokens.size(); ++j)
    hidden += tokens[j] * static_cast<int64_t>(j + 1);
  return static_cast<int32_t>(hidden % options.vocabulary);
}

} // namespace odyssey::runtime::testing

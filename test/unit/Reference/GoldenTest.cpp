//===- GoldenTest.cpp - The reference against transformers ----------------===//
//
// A random small model of every architecture, as transformers saves it, and
// the logits that transformers computes of it in fp32 (test/goldens/make.py).
//
//===----------------------------------------------------------------------===//

#include "Goldens.h"
#include "odyssey/Quantize/ReferenceWeights.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;

namespace {

class GoldenLogits : public ::testing::TestWithParam<const char *> {};

TEST_P(GoldenLogits, MeetThoseOfTransformers) {
  auto checkpoint = llvm::cantFail(Checkpoint::open(goldenFolder(GetParam())));
  reference::ReferenceModel model(llvm::cantFail(loadFp32Weights(*checkpoint)));
  Golden golden(GetParam());
  std::vector<int32_t> tokens = golden.integers("tokens");
  std::vector<float> expected = golden.floats("logits");
  ASSERT_EQ(tokens.size(), 64u);
  reference::Matrix logits = model.prefill(tokens);
  ASSERT_EQ(logits.values.size(), expected.size());

  // Each within 1e-3 of the size of its token's logits.
  for (int64_t token = 0; token < logits.rows; ++token) {
    std::span row =
        std::span(expected).subspan(token * logits.columns, logits.columns);
    double squares = 0;
    for (float value : row)
      squares += static_cast<double>(value) * value;
    double size = std::sqrt(squares / static_cast<double>(row.size()));
    for (int64_t i = 0; i < logits.columns; ++i)
      ASSERT_NEAR(logits.row(token)[i], row[i], 1e-3 * size)
          << "token " << token << ", logit " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenLogits,
                         ::testing::Values("llama3", "mistral", "qwen2",
                                           "qwen3"),
                         [](const auto &info) {
                           return std::string(info.param);
                         });

} // namespace

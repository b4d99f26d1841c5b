//===- RoundedCheckpointTest.cpp ------------------------------------------===//
//
// A checkpoint that is rounded while it is read has the tensors of the folder
// that it would be quantized to, byte by byte.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Quantize/RoundedCheckpoint.h"

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::HasSubstr;

namespace {

void expectEqual(const TensorSource &actual, const TensorSource &expected,
                 const std::string &name) {
  LoadedTensor a = llvm::cantFail(actual.load(name));
  LoadedTensor b = llvm::cantFail(expected.load(name));
  EXPECT_EQ(a.type, b.type) << name;
  EXPECT_EQ(a.shape, b.shape) << name;
  EXPECT_EQ(a.bytes, b.bytes) << name;
}

class RoundedCheckpointTest : public ::testing::TestWithParam<int64_t> {
protected:
  TestModel model = makeTestModel();
  TemporaryFolder folder;
};

TEST_P(RoundedCheckpointTest, HasTheTensorsOfTheFolder) {
  std::string sources[] = {writeHuggingFace(model, folder, "model"),
                           folder.write("model.gguf", makeGguf(model).build())};
  for (const std::string &source : sources) {
    SCOPED_TRACE(source);
    QuantizeOptions options;
    options.weightBits = GetParam();
    options.replace = true;
    llvm::cantFail(quantizeCheckpoint(*llvm::cantFail(Checkpoint::open(source)),
                                      folder / "out", options));
    auto expected = llvm::cantFail(QuantizedCheckpoint::open(folder / "out"));
    auto rounded = llvm::cantFail(RoundedCheckpoint::open(source, GetParam()));
    EXPECT_EQ(rounded->config(), expected->config());
    EXPECT_EQ(rounded->tokenizerFiles().front().bytes,
              expected->tokenizerFiles().front().bytes);
    llvm::cantFail(
        forEachModelTensor(model.config, [&](const ModelTensor &tensor) {
          expectEqual(*rounded, *expected, tensor.name);
          if (tensor.kind == ModelTensor::Kind::Linear)
            expectEqual(*rounded, *expected, tensor.name + "_scale");
          return llvm::Error::success();
        }));
  }
}

TEST_P(RoundedCheckpointTest, NamesWhatIsWrong) {
  const std::string up = "model.layers.1.mlp.up_proj.weight";
  model.weights[up][77] = NAN;
  model.weights["model.norm.weight"][5] = 65520.0f;
  auto rounded = llvm::cantFail(RoundedCheckpoint::open(
      folder.write("model.gguf", makeGguf(model).build()), GetParam()));
  auto error = [&](const std::string &name) {
    return errorText(rounded->load(name));
  };
  EXPECT_EQ(error(up), "tensor '" + up + "' has the value NaN at index 77");
  EXPECT_EQ(error(up + "_scale"),
            "tensor '" + up + "' has the value NaN at index 77");
  EXPECT_EQ(error("model.norm.weight"), "tensor 'model.norm.weight' has a "
                                        "value too large for fp16 at index 5");
  EXPECT_EQ(error("model.norm.weight_scale"),
            "the model has no tensor 'model.norm.weight_scale'");
  EXPECT_EQ(error("x"), "the model has no tensor 'x'");
  EXPECT_THAT(errorText(RoundedCheckpoint::open(folder / "absent", GetParam())),
              HasSubstr("No such file or directory"));
}

INSTANTIATE_TEST_SUITE_P(Bits, RoundedCheckpointTest, ::testing::Values(4, 8));

} // namespace

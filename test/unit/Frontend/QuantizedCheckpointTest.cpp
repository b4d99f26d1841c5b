//===- QuantizedCheckpointTest.cpp ----------------------------------------===//

#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include "llvm/Support/FormatVariadic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

/// Writes the test model with weights that say where they are from.
class QuantizedCheckpointTest : public ::testing::Test {
protected:
  int8_t weightAt(int64_t row, int64_t column) const {
    int64_t values = bits == 8 ? 255 : 16, least = bits == 8 ? -127 : -8;
    return static_cast<int8_t>((row * 5 + column * 3) % values + least);
  }
  static float scaleAt(int64_t row) { return 0.25f * static_cast<float>(row); }
  /// With 1 among the first two groups, so that nothing can be taken out of
  /// all.
  static uint8_t multiplierAt(int64_t row, int64_t group) {
    return group == row % 2 ? 1 : static_cast<uint8_t>((row + 3 * group) % 16);
  }
  static uint16_t halfAt(int64_t index) {
    return floatToHalf(static_cast<float>(index % 100));
  }

  llvm::Error writeTensor(QuantizedCheckpointWriter &writer,
                          const ModelTensor &tensor) {
    if (tensor.kind != ModelTensor::Kind::Linear) {
      int64_t size =
          tensor.shape[0] * (tensor.shape.size() == 2 ? tensor.shape[1] : 1);
      std::vector<uint16_t> values;
      for (int64_t i = 0; i < size; ++i)
        values.push_back(halfAt(i));
      return writer.writeHalf(tensor.name, 0, values);
    }
    llvm::StringRef name = tensor.name;
    name.consume_back(".weight");
    // Channel by channel, the last first.
    for (int64_t n = tensor.shape[0] - 1; n >= 0; --n) {
      std::vector<int8_t> weight;
      for (int64_t k = 0; k < tensor.shape[1]; ++k)
        weight.push_back(weightAt(n, k));
      std::vector<uint8_t> multipliers;
      for (int64_t k = 0; groupSize != 0 && k < tensor.shape[1]; k += groupSize)
        multipliers.push_back(multiplierAt(n, k / groupSize));
      if (llvm::Error error =
              writer.writeChannels(name, n, weight, {scaleAt(n)}, multipliers))
        return error;
    }
    return llvm::Error::success();
  }

  void write() {
    auto writer = llvm::cantFail(QuantizedCheckpointWriter::create(
        path, model.config, {bits, groupSize},
        {{"tokenizer.json", makeTokenizerJson()}}, true));
    llvm::cantFail(
        forEachModelTensor(model.config, [&](const ModelTensor &tensor) {
          return writeTensor(*writer, tensor);
        }));
    llvm::cantFail(writer->finish());
  }

  std::unique_ptr<QuantizedCheckpoint> open() {
    return llvm::cantFail(QuantizedCheckpoint::open(path));
  }
  std::string openError() { return errorText(QuantizedCheckpoint::open(path)); }

  /// Rewrites model.safetensors after `change` of its tensors.
  template <typename Change> std::string errorAfter(Change change) {
    write();
    std::vector<RawTensor> tensors;
    {
      auto file =
          llvm::cantFail(SafetensorsReader::open(path + "/model.safetensors"));
      for (const SafetensorsTensor &tensor : file->tensors())
        tensors.push_back(
            {tensor.name, storageTypeName(tensor.type).str(), tensor.shape,
             std::string(tensor.bytes.begin(), tensor.bytes.end())});
    }
    change(tensors);
    folder.write("out/model.safetensors", makeSafetensors(tensors, misaligned));
    return openError();
  }

  static RawTensor &named(std::vector<RawTensor> &tensors,
                          const std::string &name) {
    return *std::ranges::find(tensors, name, &RawTensor::name);
  }

  bool misaligned = false;
  int64_t groupSize = 0, bits = 4;
  TestModel model = makeTestModel();
  TemporaryFolder folder;
  std::string path = folder / "out";
  const std::string linear = "model.layers.1.mlp.up_proj";
};

} // namespace

TEST_F(QuantizedCheckpointTest, RoundTrip) {
  write();
  EXPECT_THAT(folder.list(), ElementsAre("out"));
  auto checkpoint = open();
  EXPECT_EQ(checkpoint->config(), model.config);
  ASSERT_EQ(checkpoint->layers().size(), 2u);
  for (const QuantizedCheckpoint::Layer &layer : checkpoint->layers()) {
    for (const QuantizedLinear *l : {&layer.q, &layer.k, &layer.v, &layer.o,
                                     &layer.gate, &layer.up, &layer.down}) {
      ASSERT_EQ(static_cast<int64_t>(l->weight.size()), l->n * l->k);
      for (int64_t n = 0; n < l->n; ++n) {
        EXPECT_EQ(l->scale[n], scaleAt(n));
        for (int64_t k = 0; k < l->k; ++k)
          ASSERT_EQ(l->weight[n * l->k + k], weightAt(n, k)) << l->name;
      }
    }
    EXPECT_EQ(layer.inputNorm.values[63], halfAt(63));
  }
  EXPECT_EQ(checkpoint->layers()[1].up.name, linear);
  EXPECT_EQ(checkpoint->layers()[1].up.n, 96);
  EXPECT_EQ(checkpoint->layers()[1].up.k, 64);
  EXPECT_THAT(checkpoint->embedding().shape, ElementsAre(32, 64));
  EXPECT_EQ(checkpoint->lmHead().name, "lm_head.weight");
  EXPECT_EQ(checkpoint->tokenizerFiles()[0].bytes, makeTokenizerJson());
}

TEST_F(QuantizedCheckpointTest, WeightsOfEightBits) {
  bits = 8;
  write();
  auto checkpoint = open();
  EXPECT_EQ(checkpoint->format(), (layout::WeightFormat{8, 0}));
  const QuantizedLinear &up = checkpoint->layers()[1].up;
  EXPECT_EQ(up.format, checkpoint->format());
  for (int64_t n = 0; n < up.n; ++n)
    for (int64_t k = 0; k < up.k; ++k)
      ASSERT_EQ(up.weight[n * up.k + k], weightAt(n, k));
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                named(tensors, linear + ".weight").bytes[5] =
                    static_cast<char>(-128);
              }),
              HasSubstr("has the value -128 at index 5, which is no 8-bit "
                        "integer in -127..127"));
}

TEST_F(QuantizedCheckpointTest, ConfigSurvives) {
  model.config.architecture = Architecture::Mistral;
  model.config.eosIds = {2, 5};
  model.config.rmsNormEps = 1e-6f;
  model.config.ropeTheta = 500000;
  for (RopeScaling scaling :
       {RopeScaling{},
        RopeScaling{.kind = RopeScaling::Kind::Linear, .factor = 2},
        RopeScaling{.kind = RopeScaling::Kind::Llama3,
                    .factor = 32,
                    .lowFreqFactor = 1,
                    .highFreqFactor = 4,
                    .originalMaxContext = 8192}}) {
    model.config.ropeScaling = scaling;
    write();
    EXPECT_EQ(open()->config(), model.config);
  }
  model.config.bosId.reset();
  model.config.addBos = false;
  model.config.eosIds.clear();
  write();
  EXPECT_EQ(open()->config(), model.config);
}

/// On disk stand products; the channel's scale and the multipliers come back.
TEST_F(QuantizedCheckpointTest, Groups) {
  groupSize = 32;
  write();
  auto checkpoint = open();
  EXPECT_EQ(checkpoint->groupSize(), 32);
  const QuantizedLinear &up = checkpoint->layers()[1].up;
  EXPECT_EQ(up.format, (layout::WeightFormat{4, 32}));
  ASSERT_EQ(up.multiplier.size(), 96u * 2);
  ASSERT_EQ(up.scale.size(), 96u);
  auto file =
      llvm::cantFail(SafetensorsReader::open(path + "/model.safetensors"));
  const SafetensorsTensor *products = file->find(linear + ".weight_scale");
  ASSERT_NE(products, nullptr);
  EXPECT_THAT(products->shape, ElementsAre(96, 2));
  std::vector<float> values(96 * 2);
  std::memcpy(values.data(), products->bytes.data(), products->bytes.size());
  for (int64_t n = 0; n < 96; ++n) {
    EXPECT_EQ(up.scale[n], scaleAt(n));
    for (int64_t group = 0; group < 2; ++group) {
      // A channel of scale 0 has no multipliers to tell.
      int expected = n == 0 ? 0 : multiplierAt(n, group);
      EXPECT_EQ(up.multiplier[n * 2 + group], expected);
      EXPECT_EQ(values[n * 2 + group],
                scaleAt(n) * static_cast<float>(expected));
    }
  }
  // What the compiler asks for by name.
  LoadedTensor scales =
      llvm::cantFail(checkpoint->load(linear + ".weight_channel_scale"));
  EXPECT_EQ(scales.type, StorageType::F32);
  EXPECT_THAT(scales.shape, ElementsAre(96, 1));
  EXPECT_EQ(0, std::memcmp(scales.bytes.data(), up.scale.data(), 96 * 4));
  LoadedTensor multipliers =
      llvm::cantFail(checkpoint->load(linear + ".weight_multiplier"));
  EXPECT_EQ(multipliers.type, StorageType::I8);
  EXPECT_THAT(multipliers.shape, ElementsAre(96, 2));
  EXPECT_TRUE(std::ranges::equal(multipliers.bytes, up.multiplier));
  EXPECT_THAT(errorText(checkpoint->load(linear + ".weight_scale")),
              HasSubstr("no tensor '" + linear + ".weight_scale'"));
}

/// K = 64 is one short group: there is nothing within the channels' scales.
TEST_F(QuantizedCheckpointTest, OneGroup) {
  groupSize = 128;
  write();
  auto checkpoint = open();
  EXPECT_EQ(checkpoint->layers()[0].q.k, 64);
  const QuantizedLinear &q = checkpoint->layers()[0].q;
  EXPECT_EQ(q.scale[7], scaleAt(7) * static_cast<float>(multiplierAt(7, 0)));
}

TEST_F(QuantizedCheckpointTest, ScalesOfGroupsThatAreNoMultiples) {
  groupSize = 32;
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                named(tensors, linear + ".weight_scale")
                    .bytes.replace(5 * 2 * 4, 8, bytesOfFloats({1, 0.3f}));
              }),
              HasSubstr("tensor '" + linear +
                        ".weight_scale' has 2 groups of input channels with "
                        "scales of their own (output channel 5: 1 in group 0, "
                        "0.300000012 in group 1); products take runs of 32, "
                        "64 or 128 input channels whose scales are multiples, "
                        "0 to 15, of one number"));
}

TEST_F(QuantizedCheckpointTest, TiedEmbeddings) {
  model = makeTestModel(/*tiedEmbeddings=*/true);
  write();
  auto checkpoint = open();
  EXPECT_THAT(errorText(checkpoint->load("lm_head.weight")),
              HasSubstr("no tensor 'lm_head.weight'"));
  EXPECT_EQ(checkpoint->lmHead().name, "model.embed_tokens.weight");
}

TEST_F(QuantizedCheckpointTest, UnfinishedLeavesNothing) {
  {
    auto writer = llvm::cantFail(
        QuantizedCheckpointWriter::create(path, model.config, {}, {}, false));
    EXPECT_THAT(errorText(writer->finish()), HasSubstr("has 0 of"));
  }
  EXPECT_THAT(folder.list(), ElementsAre());
}

TEST_F(QuantizedCheckpointTest, MisalignedTensors) {
  misaligned = true;
  ASSERT_EQ(errorAfter([](std::vector<RawTensor> &) {}), "");
  auto checkpoint = open();
  EXPECT_EQ(checkpoint->layers()[0].q.scale[3], scaleAt(3));
  EXPECT_EQ(checkpoint->embedding().values[77], halfAt(77));
}

TEST_F(QuantizedCheckpointTest, ValuesOutsideOfFourBits) {
  for (int value : {-128, -9, 8, 127})
    EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                  named(tensors, linear + ".weight").bytes[70] =
                      static_cast<char>(value);
                }),
                HasSubstr("tensor '" + linear + ".weight' has the value " +
                          std::to_string(value) +
                          " at index 70, which is no 4-bit integer in -8..7"));
}

TEST_F(QuantizedCheckpointTest, Scales) {
  for (float scale : {-1.0f, NAN, INFINITY})
    EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                  named(tensors, linear + ".weight_scale")
                      .bytes.replace(8, 4, bytesOfFloats({scale}));
                }),
                HasSubstr("tensor '" + linear +
                          ".weight_scale' has a scale "
                          "that is not a finite, "
                          "non-negative number at index "
                          "2"));
}

TEST_F(QuantizedCheckpointTest, HalfValues) {
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                named(tensors, "model.norm.weight").bytes[11] = '\x7c';
                named(tensors, "model.norm.weight").bytes[10] = '\x00';
              }),
              HasSubstr("tensor 'model.norm.weight' has a value that is not "
                        "finite at index 5"));
}

TEST_F(QuantizedCheckpointTest, TypesAndShapes) {
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                named(tensors, linear + ".weight").dtype = "U8";
              }),
              HasSubstr("tensor '" + linear +
                        ".weight' is U8 [96, 64], expected I8 [96, 64]"));
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                named(tensors, linear + ".weight_scale").shape = {96};
              }),
              HasSubstr("is F32 [96], expected F32 [96, 1]"));
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                named(tensors, linear + ".weight").shape = {64, 96};
              }),
              HasSubstr("is I8 [64, 96], expected I8 [96, 64]"));
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                named(tensors, "lm_head.weight").dtype = "I16";
              }),
              HasSubstr("tensor 'lm_head.weight' is I16 [32, 64], expected F16 "
                        "[32, 64]"));
}

TEST_F(QuantizedCheckpointTest, MissingAndForeignTensors) {
  EXPECT_THAT(errorAfter([&](std::vector<RawTensor> &tensors) {
                std::erase_if(tensors, [&](const RawTensor &tensor) {
                  return tensor.name == linear + ".weight_scale";
                });
              }),
              HasSubstr("the linear layer '" + linear +
                        "' is not quantized: there is a tensor '" + linear +
                        ".weight', but no '" + linear + ".weight_scale'"));
  EXPECT_THAT(
      errorAfter([&](std::vector<RawTensor> &tensors) {
        tensors.push_back({linear + ".bias", "I8", {1}, "x"});
      }),
      HasSubstr("tensor '" + linear + ".bias' is no part of such a model"));
}

TEST_F(QuantizedCheckpointTest, Config) {
  write();
  auto with = [&](auto change) {
    llvm::json::Value config =
        llvm::cantFail(llvm::json::parse(readFile(path + "/config.json")));
    TemporaryFolder copy;
    llvm::json::Object object = *config.getAsObject();
    change(object);
    copy.write(
        "config.json",
        llvm::formatv("{0}", llvm::json::Value(std::move(object))).str());
    return errorText(QuantizedCheckpoint::open(copy.path()));
  };
  EXPECT_THAT(
      with([](llvm::json::Object &o) { o.erase("quantization_config"); }),
      HasSubstr("the checkpoint is not quantized"));
  EXPECT_THAT(with([](llvm::json::Object &o) {
                (*o.getObject("quantization_config"))["format"] = "marlin-24";
              }),
              HasSubstr("'format' of the quantization_config is \"marlin-24\", "
                        "only \"int-quantized\" or \"pack-quantized\" is "
                        "supported"));
  EXPECT_THAT(with([](llvm::json::Object &o) {
                (*o.getObject("quantization_config")
                      ->getObject("config_groups")
                      ->getObject("group_0")
                      ->getObject("weights"))["num_bits"] = 6;
              }),
              HasSubstr("'num_bits' of 'weights' in the quantization_config is "
                        "6, only 4 or 8 is supported"));
  EXPECT_THAT(with([](llvm::json::Object &o) {
                (*o.getObject("quantization_config")
                      ->getObject("config_groups")
                      ->getObject("group_0")
                      ->getObject("input_activations"))["dynamic"] = false;
              }),
              HasSubstr("'dynamic' of 'input_activations' in the "
                        "quantization_config is false, only true is "
                        "supported"));
}

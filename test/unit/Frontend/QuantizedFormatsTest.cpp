//===- QuantizedFormatsTest.cpp - Folders that others have quantized ------===//
//
// Folders by compressed-tensors, and by GPTQ's programs, with the weights that
// those make of them (test/goldens/make.py); and the same folders with a part
// of them changed.
//
//===----------------------------------------------------------------------===//

#include "Goldens.h"
#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"

#include "llvm/Support/FormatVariadic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::HasSubstr;

namespace {

const std::string query = "model.layers.0.self_attn.q_proj";

class QuantizedFormats : public ::testing::Test {
protected:
  /// The golden folder `name` with its tensors and its config at hand.
  void take(const std::string &name) {
    tensors.clear();
    auto file = llvm::cantFail(
        SafetensorsReader::open(goldenFolder(name) + "/model.safetensors"));
    for (const SafetensorsTensor &tensor : file->tensors())
      tensors.push_back(
          {tensor.name, storageTypeName(tensor.type).str(), tensor.shape,
           std::string(tensor.bytes.begin(), tensor.bytes.end())});
    config = *llvm::cantFail(llvm::json::parse(
                                 readFile(goldenFolder(name) + "/config.json")))
                  .getAsObject();
  }
  void write() {
    llvm::json::Object copy = config;
    folder.write(
        "copy/config.json",
        llvm::formatv("{0}", llvm::json::Value(std::move(copy))).str());
    folder.write("copy/tokenizer.json", makeTokenizerJson());
    folder.write("copy/model.safetensors", makeSafetensors(tensors));
  }
  std::string error() {
    write();
    return errorText(QuantizedCheckpoint::open(folder / "copy"));
  }

  RawTensor &named(const std::string &name) {
    return *std::ranges::find(tensors, name, &RawTensor::name);
  }
  void drop(const std::string &name) {
    std::erase_if(tensors,
                  [&](const RawTensor &tensor) { return tensor.name == name; });
  }
  llvm::json::Object &quantization() {
    return *config.getObject("quantization_config");
  }
  llvm::json::Object &scheme(const char *part) {
    return *quantization()
                .getObject("config_groups")
                ->getObject("group_0")
                ->getObject(part);
  }

  std::vector<RawTensor> tensors;
  llvm::json::Object config;
  TemporaryFolder folder;
};

/// The folders whose scales are those of output channels.
class ChannelFormats : public QuantizedFormats,
                       public ::testing::WithParamInterface<const char *> {};

std::string nameOf(const ::testing::TestParamInfo<const char *> &info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Folders, ChannelFormats,
                         ::testing::Values("int-quantized", "pack-quantized",
                                           "gptq"),
                         nameOf);

std::vector<const QuantizedLinear *>
linearsOf(const QuantizedCheckpoint &checkpoint) {
  std::vector<const QuantizedLinear *> linears;
  for (const QuantizedCheckpoint::Layer &layer : checkpoint.layers())
    for (const QuantizedLinear *linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up,
          &layer.down})
      linears.push_back(linear);
  return linears;
}

TEST_P(ChannelFormats, WeightsAreThoseOfTheOtherProgram) {
  auto checkpoint =
      llvm::cantFail(QuantizedCheckpoint::open(goldenFolder(GetParam())));
  Golden golden(GetParam());
  std::vector<const QuantizedLinear *> linears = linearsOf(*checkpoint);
  ASSERT_EQ(golden.names().size(), 7u);
  ASSERT_EQ(linears.size(), 7u);
  for (const QuantizedLinear *linear : linears) {
    std::vector<float> expected = golden.floats(linear->name + ".weight");
    ASSERT_EQ(expected.size(), static_cast<size_t>(linear->n * linear->k));
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_EQ(linear->scale[i / linear->k] *
                    static_cast<float>(linear->weight[i]),
                expected[i])
          << linear->name << ", index " << i;
  }
}

TEST_P(ChannelFormats, TensorsForTheCompiler) {
  // One by one, they are what the whole model has.
  auto checkpoint =
      llvm::cantFail(QuantizedCheckpoint::open(goldenFolder(GetParam())));
  for (const QuantizedLinear *linear : linearsOf(*checkpoint)) {
    LoadedTensor weight =
        llvm::cantFail(checkpoint->load(linear->name + ".weight"));
    EXPECT_EQ(weight.type, StorageType::I8);
    EXPECT_EQ(weight.shape, (std::vector<int64_t>{linear->n, linear->k}));
    EXPECT_EQ(std::memcmp(weight.bytes.data(), linear->weight.data(),
                          linear->weight.size_bytes()),
              0);
    LoadedTensor scale =
        llvm::cantFail(checkpoint->load(linear->name + ".weight_scale"));
    EXPECT_EQ(scale.type, StorageType::F32);
    EXPECT_EQ(scale.shape, (std::vector<int64_t>{linear->n, 1}));
    EXPECT_EQ(std::memcmp(scale.bytes.data(), linear->scale.data(),
                          linear->scale.size_bytes()),
              0);
  }
  LoadedTensor norm = llvm::cantFail(checkpoint->load("model.norm.weight"));
  EXPECT_EQ(norm.type, StorageType::F16);
  EXPECT_THAT(errorText(checkpoint->load("model.norm.bias")),
              HasSubstr("no tensor 'model.norm.bias'"));
}

TEST_P(ChannelFormats, Shards) {
  take(GetParam());
  write();
  llvm::json::Object map;
  std::vector<RawTensor> shards[2];
  for (size_t i = 0; i < tensors.size(); ++i) {
    map[tensors[i].name] = i % 2 ? "b.safetensors" : "a.safetensors";
    shards[i % 2].push_back(tensors[i]);
  }
  for (const char *name : {"config.json", "tokenizer.json"})
    folder.write(std::string("sharded/") + name,
                 readFile(folder / (std::string("copy/") + name)));
  folder.write("sharded/a.safetensors", makeSafetensors(shards[0]));
  folder.write("sharded/b.safetensors", makeSafetensors(shards[1]));
  llvm::json::Value index = llvm::json::Object{{"weight_map", std::move(map)}};
  folder.write("sharded/model.safetensors.index.json",
               llvm::formatv("{0}", index).str());
  auto whole = llvm::cantFail(QuantizedCheckpoint::open(folder / "copy"));
  auto parts = llvm::cantFail(QuantizedCheckpoint::open(folder / "sharded"));
  std::vector<const QuantizedLinear *> one = linearsOf(*whole),
                                       other = linearsOf(*parts);
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(one[i]->weight, other[i]->weight));
    EXPECT_TRUE(std::ranges::equal(one[i]->scale, other[i]->scale));
  }

  // A half-written shard.
  std::string bytes = makeSafetensors(shards[1]);
  folder.write("sharded/b.safetensors", bytes.substr(0, bytes.size() - 5));
  EXPECT_THAT(errorText(QuantizedCheckpoint::open(folder / "sharded")),
              HasSubstr("b.safetensors"));
}

TEST_P(ChannelFormats, OpensAsNumbersToo) {
  auto checkpoint =
      llvm::cantFail(Checkpoint::openDequantized(goldenFolder(GetParam())));
  Golden golden(GetParam());
  for (const std::string &name : golden.names())
    EXPECT_EQ(llvm::cantFail(checkpoint->readF32(name)), golden.floats(name))
        << name;
  EXPECT_THAT(errorText(Checkpoint::open(goldenFolder(GetParam()))),
              HasSubstr("the checkpoint is quantized already"));
}

/// The folders with groups of input channels.
class GroupFormats : public QuantizedFormats,
                     public ::testing::WithParamInterface<const char *> {};

INSTANTIATE_TEST_SUITE_P(Folders, GroupFormats,
                         ::testing::Values("pack-quantized-groups",
                                           "gptq-groups"),
                         nameOf);

TEST_P(GroupFormats, OpenAsNumbersOnly) {
  auto checkpoint =
      llvm::cantFail(Checkpoint::openDequantized(goldenFolder(GetParam())));
  Golden golden(GetParam());
  for (const std::string &name : golden.names())
    EXPECT_EQ(llvm::cantFail(checkpoint->readF32(name)), golden.floats(name))
        << name;
  // Rows alone are rows of the whole.
  std::string name = "model.layers.0.mlp.down_proj.weight";
  const CheckpointTensor *tensor = checkpoint->find(name);
  std::vector<float> row(tensor->columns());
  llvm::cantFail(checkpoint->readRows(*tensor, 5, 1, row));
  std::vector<float> whole = golden.floats(name);
  EXPECT_TRUE(std::equal(row.begin(), row.end(), whole.begin() + 5 * 96));

  bool gptq = llvm::StringRef(GetParam()).starts_with("gptq");
  EXPECT_THAT(
      errorText(QuantizedCheckpoint::open(goldenFolder(GetParam()))),
      ::testing::AllOf(
          HasSubstr(std::string("tensor 'model.layers.0.mlp.down_proj.") +
                    (gptq ? "scales" : "weight_scale") +
                    "' has 3 groups of input channels with scales of their own "
                    "(output channel 0: "),
          HasSubstr("odyssey-quantize --requantize rounds the weights anew")));
}

TEST_F(QuantizedFormats, GroupsOfOneScaleAreAChannel) {
  take("pack-quantized-groups");
  RawTensor &scales = named("model.layers.0.mlp.down_proj.weight_scale");
  for (size_t row = 0; row < scales.bytes.size(); row += 6)
    for (size_t group = 2; group < 6; group += 2)
      scales.bytes.replace(row + group, 2, scales.bytes.substr(row, 2));
  ASSERT_EQ(error(), "");
  auto checkpoint = llvm::cantFail(QuantizedCheckpoint::open(folder / "copy"));
  std::span<const float> scale = checkpoint->layers()[0].down.scale;
  ASSERT_EQ(scale.size(), 32u);
  uint16_t bits;
  std::memcpy(&bits, scales.bytes.data() + 6 * 3, 2);
  EXPECT_EQ(scale[3], halfToFloat(bits));
}

TEST_F(QuantizedFormats, GptqConfigs) {
  auto with = [&](const char *key, llvm::json::Value value) {
    take("gptq");
    quantization()[key] = std::move(value);
    return error();
  };
  EXPECT_THAT(with("bits", 8), HasSubstr("'bits' of the quantization_config is "
                                         "8, only 4 is supported"));
  EXPECT_THAT(with("sym", false),
              HasSubstr("'sym' of the quantization_config is false, only true "
                        "(weights without a zero point) is supported"));
  EXPECT_THAT(with("checkpoint_format", "marlin"),
              HasSubstr("'checkpoint_format' of the quantization_config is "
                        "\"marlin\", only \"gptq\" or \"gptq_v2\""));
  EXPECT_THAT(with("lm_head", true), HasSubstr("'lm_head'"));
  EXPECT_THAT(with("dynamic", llvm::json::Object{{"-:.*", nullptr}}),
              HasSubstr("'dynamic'"));
  EXPECT_THAT(with("group_size", 0),
              HasSubstr("'group_size' of the quantization_config is 0, only -1 "
                        "or a positive number"));
  EXPECT_THAT(with("group_size", 20),
              HasSubstr("input channels, which groups of 20 do not divide"));
  EXPECT_THAT(with("group_size", 32), HasSubstr("expected F32 [3, 32]"));
  EXPECT_THAT(with("quant_method", "awq"),
              HasSubstr("'quant_method' of the quantization_config is \"awq\", "
                        "only \"compressed-tensors\" or \"gptq\""));
  // A single group has no order.
  EXPECT_EQ(with("desc_act", true), "");

  // Before they went into config.json, AutoGPTQ had settings of their own.
  take("gptq");
  llvm::json::Object old = std::move(quantization());
  old.erase("quant_method");
  config.erase("quantization_config");
  folder.write("copy/quantize_config.json",
               llvm::formatv("{0}", llvm::json::Value(std::move(old))).str());
  EXPECT_EQ(error(), "");
}

TEST_F(QuantizedFormats, GptqTensors) {
  take("gptq");
  // The zero point of output channel 1: 6 is stored, 7 is meant.
  named(query + ".qzeros").bytes[0] = '\x67';
  EXPECT_THAT(error(), HasSubstr("tensor '" + query +
                                 ".qzeros' has 6 for output channel 1 of group "
                                 "0, expected 7; weights must be symmetric"));
  take("gptq");
  named(query + ".bias").bytes[1] = '\x3c';
  EXPECT_THAT(error(), HasSubstr("tensor '" + query +
                                 ".bias' has a bias that is not 0"));
  take("gptq");
  named(query + ".scales").bytes.replace(4, 2, std::string("\x00\x7c", 2));
  EXPECT_THAT(error(), HasSubstr("tensor '" + query +
                                 ".scales' has a scale that is not a finite, "
                                 "non-negative number at index 2"));
  for (const char *part : {".qweight", ".scales", ".qzeros"}) {
    take("gptq");
    drop(query + part);
    EXPECT_THAT(error(), HasSubstr("tensor '" + query + part + "' is missing"));
  }
  take("gptq");
  named(query + ".qweight").shape = {2, 64};
  EXPECT_THAT(error(), HasSubstr("tensor '" + query +
                                 ".qweight' is I32 [2, 64], expected I32 "
                                 "[4, 32]"));
  take("gptq-groups");
  RawTensor &order = named("model.layers.0.mlp.down_proj.g_idx");
  order.bytes.replace(8, 4, std::string("\x03\0\0\0", 4));
  write();
  auto checkpoint =
      llvm::cantFail(Checkpoint::openDequantized(folder / "copy"));
  EXPECT_THAT(
      errorText(checkpoint->readF32("model.layers.0.mlp.down_proj.weight")),
      HasSubstr(
          "tensor 'model.layers.0.mlp.down_proj.g_idx' has the group 3 at "
          "index 2, expected 0 to 2"));
}

TEST_F(QuantizedFormats, CompressedTensorsConfigs) {
  auto with = [&](const char *part, const char *key, llvm::json::Value value) {
    take("int-quantized");
    scheme(part)[key] = std::move(value);
    return error();
  };
  EXPECT_THAT(with("weights", "num_bits", 6),
              HasSubstr("'num_bits' of 'weights' in the quantization_config is "
                        "6, only 4 or 8 is supported"));
  EXPECT_THAT(with("weights", "symmetric", false), HasSubstr("'symmetric'"));
  EXPECT_THAT(with("weights", "type", "float"), HasSubstr("'type'"));
  EXPECT_THAT(with("weights", "strategy", "tensor"),
              HasSubstr("'strategy' of 'weights' in the quantization_config is "
                        "\"tensor\", only \"channel\" or \"group\""));
  EXPECT_THAT(with("input_activations", "dynamic", false),
              HasSubstr("'dynamic' of 'input_activations'"));
  EXPECT_THAT(with("input_activations", "num_bits", 4),
              HasSubstr("'num_bits' of 'input_activations'"));

  auto whole = [&](const char *key, llvm::json::Value value) {
    take("int-quantized");
    quantization()[key] = std::move(value);
    return error();
  };
  EXPECT_THAT(whole("kv_cache_scheme", llvm::json::Object{{"num_bits", 8}}),
              HasSubstr("'kv_cache_scheme'"));
  EXPECT_THAT(whole("transform_config", llvm::json::Object{{"a", 1}}),
              HasSubstr("'transform_config'"));
  EXPECT_THAT(whole("format", "nvfp4-pack-quantized"), HasSubstr("'format'"));
}

TEST_F(QuantizedFormats, CompressedTensorsTensors) {
  take("pack-quantized");
  tensors.push_back(
      {query + ".weight_zero_point", "I8", {32, 1}, std::string(32, '\0')});
  EXPECT_EQ(error(), "") << "a zero point of zero";
  tensors.back().bytes[3] = '\x01';
  EXPECT_THAT(error(), HasSubstr("tensor '" + query +
                                 ".weight_zero_point' has zero points that are "
                                 "not 0; weights must be symmetric"));
  take("pack-quantized");
  named(query + ".weight_shape").bytes[0] = '\x21';
  EXPECT_THAT(error(), HasSubstr("tensor '" + query +
                                 ".weight_shape' does not hold the linear "
                                 "layer's sizes 32 and 32"));
  take("int-quantized");
  drop(query + ".weight_scale");
  EXPECT_THAT(error(),
              HasSubstr("the linear layer '" + query +
                        "' is not quantized: there is a tensor '" + query +
                        ".weight', but no '" + query + ".weight_scale'"));
  take("int-quantized");
  named("model.norm.weight").bytes.replace(2, 2, std::string("\x80\x7f", 2));
  EXPECT_THAT(error(), HasSubstr("tensor 'model.norm.weight' has a value that "
                                 "is not finite at index 1"));
  take("int-quantized");
  named("model.norm.weight").bytes.replace(2, 2, std::string("\x80\x47", 2));
  EXPECT_THAT(error(), HasSubstr("tensor 'model.norm.weight' has a value too "
                                 "large for fp16 at index 1"));
}

} // namespace

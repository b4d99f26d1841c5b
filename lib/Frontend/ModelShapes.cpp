//===- ModelShapes.cpp - Shapes of well-known models ----------------------===//

#include "odyssey/Frontend/ModelShapes.h"

using namespace odyssey;

namespace {
struct Shape {
  const char *name;
  int64_t hidden, layers, heads, kvHeads, headDim, ffn, vocabulary, context;
  float epsilon;
  double theta;
  bool tied;
  Architecture architecture = Architecture::Llama;
};
} // namespace

static const Shape kShapes[] = {
    {"llama-2-7b", 4096, 32, 32, 32, 128, 11008, 32000, 4096, 1e-5f, 1e4,
     false},
    {"llama-2-13b", 5120, 40, 40, 40, 128, 13824, 32000, 4096, 1e-5f, 1e4,
     false},
    {"llama-2-70b", 8192, 80, 64, 8, 128, 28672, 32000, 4096, 1e-5f, 1e4,
     false},
    {"llama-3-8b", 4096, 32, 32, 8, 128, 14336, 128256, 8192, 1e-5f, 5e5,
     false},
    {"mistral-7b", 4096, 32, 32, 8, 128, 14336, 32768, 32768, 1e-5f, 1e6, false,
     Architecture::Mistral},
    {"qwen2.5-7b", 3584, 28, 28, 4, 128, 18944, 152064, 32768, 1e-6f, 1e6,
     false, Architecture::Qwen2},
    {"qwen3-8b", 4096, 36, 32, 8, 128, 12288, 151936, 40960, 1e-6f, 1e6, false,
     Architecture::Qwen3},
    {"smollm2-135m", 576, 30, 9, 3, 64, 1536, 49152, 8192, 1e-5f, 1e5, true},
};

std::optional<ModelConfig> odyssey::findModelShape(llvm::StringRef name) {
  for (const Shape &shape : kShapes) {
    if (name != shape.name)
      continue;
    ModelConfig config;
    config.architecture = shape.architecture;
    config.hiddenSize = shape.hidden;
    config.numLayers = shape.layers;
    config.numHeads = shape.heads;
    config.numKvHeads = shape.kvHeads;
    config.headDim = shape.headDim;
    config.ffnSize = shape.ffn;
    config.vocabSize = shape.vocabulary;
    config.maxContext = shape.context;
    config.rmsNormEps = shape.epsilon;
    config.ropeTheta = shape.theta;
    config.tiedEmbeddings = shape.tied;
    return config;
  }
  return std::nullopt;
}

std::string odyssey::modelShapeNames() {
  std::string names;
  for (const Shape &shape : kShapes)
    names += (names.empty() ? "" : ", ") + std::string(shape.name);
  return names;
}

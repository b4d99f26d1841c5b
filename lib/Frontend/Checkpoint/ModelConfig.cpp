//===- ModelConfig.cpp - The shape of a transformer -----------------------===//

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include <cmath>
#include <numbers>

using namespace odyssey;

/// Llama 3.1's rule (meta-llama/llama-models, `apply_scaling`): wavelengths
/// beyond originalMaxContext / lowFreqFactor are stretched by `factor`, those
/// below originalMaxContext / highFreqFactor stay, and between the two the
/// frequency moves linearly from one to the other.
static double scaleLlama3(double frequency, const RopeScaling &scaling) {
  double wavelength = 2 * std::numbers::pi / frequency;
  double context = static_cast<double>(scaling.originalMaxContext);
  if (wavelength < context / scaling.highFreqFactor)
    return frequency;
  if (wavelength > context / scaling.lowFreqFactor)
    return frequency / scaling.factor;
  double smooth = (context / wavelength - scaling.lowFreqFactor) /
                  (scaling.highFreqFactor - scaling.lowFreqFactor);
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

std::vector<double> odyssey::ropeFrequencies(const ModelConfig &config) {
  std::vector<double> frequencies(config.headDim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double exponent =
        -2.0 * static_cast<double>(i) / static_cast<double>(config.headDim);
    double frequency = std::pow(config.ropeTheta, exponent);
    switch (config.ropeScaling.kind) {
    case RopeScaling::Kind::None:
      break;
    case RopeScaling::Kind::Linear:
      frequency /= config.ropeScaling.factor;
      break;
    case RopeScaling::Kind::Llama3:
      frequency = scaleLlama3(frequency, config.ropeScaling);
      break;
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

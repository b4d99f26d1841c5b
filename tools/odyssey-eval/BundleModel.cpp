//===- BundleModel.cpp - Bundles on a device ------------------------------===//

#include "Model.h"

#include "odyssey/runtime/BundleFormat.h"
#include "odyssey/runtime/DeviceRegistry.h"
#include "odyssey/runtime/Session.h"

#include <cstring>
#include <fstream>

using namespace odyssey;
using namespace odyssey::eval;
using namespace odyssey::runtime;
using reference::Matrix;

namespace {

class BundleModel : public Model {
public:
  std::optional<Matrix> logits(std::span<const int32_t> tokens,
                               int64_t first) override {
    Result<Matrix> result = score(tokens, first);
    if (result.ok())
      return std::move(*result);
    failure = result.status().withContext("'" + path + "'");
    return std::nullopt;
  }

  std::unique_ptr<Session> session;

private:
  Result<Matrix> score(std::span<const int32_t> tokens, int64_t first) {
    ODYSSEY_ASSIGN_OR_RETURN(SequenceId sequence, session->addSequence());
    Matrix result;
    result.rows = static_cast<int64_t>(tokens.size()) - first;
    result.columns = vocabulary;
    ODYSSEY_ASSIGN_OR_RETURN(
        result.values,
        session->score(sequence, tokens, static_cast<size_t>(first)));
    ODYSSEY_RETURN_IF_ERROR(session->removeSequence(sequence));
    return result;
  }
};

} // namespace

bool eval::isBundle(const std::string &path) {
  char magic[sizeof(bundle::kMagic)] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof magic);
  return std::memcmp(magic, bundle::kMagic, sizeof magic) == 0;
}

Result<std::unique_ptr<Model>> eval::openBundle(const std::string &path,
                                                const ModelOptions &options) {
  if (options.device == "reference")
    return invalidArgument("'" + path +
                           "' is a bundle; the reference runs checkpoints");
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle,
                           Bundle::open(path));
  DeviceOptions deviceOptions;
  deviceOptions.emulator.threads = options.threads;
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<Device> device,
                           openDevice(options.device, deviceOptions));
  auto model = std::make_unique<BundleModel>();
  model->path = path;
  model->device = device->properties().name;
  ODYSSEY_ASSIGN_OR_RETURN(model->session, Session::create(bundle, device));
  const DecoderPlan &plan = model->session->model();
  if (plan.tokenizer.empty())
    return failedPrecondition("'" + path + "' has no tokenizer");
  ODYSSEY_ASSIGN_OR_RETURN(
      model->tokenizer,
      Tokenizer::load(plan.tokenizer, *bundle->section(plan.tokenizer)));
  model->vocabulary = plan.vocabulary;
  model->context = plan.context;
  if (plan.addBos)
    model->bos = plan.bos;
  return std::unique_ptr<Model>(std::move(model));
}

//===- Generator.h - Text in, text out --------------------------*- C++ -*-===//
//
// Continues a text with a compiled decoder:
//
//   auto bundle = Bundle::open("model.odyssey");
//   auto device = openDevice("auto");
//   auto generator = Generator::create(*bundle, *device);
//   (*generator)->generate("Once upon a time", {}, [](std::string_view piece) {
//     std::cout << piece << std::flush;
//     return true;
//   });
//
// A Generator is used by one thread at a time.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_GENERATOR_H
#define ODYSSEY_RUNTIME_GENERATOR_H

#include "odyssey/runtime/Sampler.h"
#include "odyssey/runtime/Session.h"
#include "odyssey/runtime/Tokenizer.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

struct GenerateOptions {
  /// At most so many new tokens, which then have to fit the context together
  /// with what is there. Without a value, text is generated until it ends or
  /// the context is full.
  std::optional<int64_t> maxTokens = std::nullopt;
  SamplerOptions sampling = {};
};

enum class StopReason {
  /// The model ended the text.
  EndOfText,
  MaxTokens,
  /// The sequence is as long as the bundle was compiled for.
  ContextFull,
  /// The callback asked for it.
  Cancelled,
};

struct GenerateResult {
  StopReason reason = StopReason::EndOfText;
  /// The new tokens, without the one that ends the text.
  std::vector<int32_t> tokens;
  /// Tokens that the prefill ran: those of the prompt and the BOS token.
  int64_t promptTokens = 0;
  /// Up to the first new token.
  double prefillSeconds = 0;
  /// One token each; none for the first one, which the prefill gives.
  int64_t decodeSteps = 0;
  double decodeSeconds = 0;
};

/// Receives text as it is made, valid UTF-8 and never empty. False ends the
/// generation.
using TextCallback = std::function<bool(std::string_view)>;

/// Where the time goes, by kind of kernel.
struct KernelProfile {
  int64_t tokens = 0;
  /// All of the sequence at once.
  KernelTimes prefill;
  /// Its last token alone.
  KernelTimes decode;
};

class Generator {
public:
  /// Loads the bundle on the device. FailedPrecondition when it holds no
  /// decoder, has no tokenizer, or is not for this device.
  static Result<std::unique_ptr<Generator>>
  create(std::shared_ptr<const Bundle> bundle, std::shared_ptr<Device> device);
  ~Generator();

  Session &session() const;
  const Tokenizer &tokenizer() const;

  /// Appends `prompt` to the text so far and continues it. InvalidArgument when
  /// the prompt is not UTF-8 or there is nothing to continue;
  /// ResourceExhausted, naming the limit, when the context is too short.
  Result<GenerateResult> generate(std::string_view prompt,
                                  const GenerateOptions &options,
                                  const TextCallback &onText);

  /// Begins a new text.
  Status reset();

  /// Runs the text so far again, measuring every kernel. It stays as it is.
  Result<KernelProfile> profile();

private:
  struct Content;
  explicit Generator(std::unique_ptr<Content> content);

  std::unique_ptr<Content> content;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_GENERATOR_H

//===- HuggingFacePipeline.h - Parts of a tokenizer.json --------*- C++ -*-===//
//
// Reads the `normalizer`, `pre_tokenizer`, `decoder` and `post_processor` of a
// Hugging Face `tokenizer.json`. Each is absent (null), one step, or a
// `Sequence` of steps, and a step names its `type`. Unsupported, naming it, for
// a type that is not implemented; DataLoss for a step that lacks a field.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_HUGGINGFACEPIPELINE_H
#define ODYSSEY_RUNTIME_TOKENIZER_HUGGINGFACEPIPELINE_H

#include "Definition.h"

#include <nlohmann/json.hpp>

namespace odyssey::runtime::tokenizer {

using Json = nlohmann::json;

/// The member `key` of an object; null where `object` is none or lacks it.
const Json &member(const Json &object, const char *key);

/// The member `key` as text. DataLoss where it is something else.
Result<std::string_view> stringMember(const Json &object, const char *key);

/// The member `key` as a truth value, `otherwise` where it is absent or null.
/// DataLoss where it is something else.
Result<bool> boolMember(const Json &object, const char *key, bool otherwise);

Status readNormalizer(const Json &normalizer,
                      std::vector<NormalizerStep> &steps);
Status readPreTokenizer(const Json &preTokenizer,
                        std::vector<PreTokenizerStep> &steps);
Status readDecoder(const Json &decoder, DecoderRules &rules);

/// Reads which tokens stand in front of a text and behind it.
/// `definition.vocabulary` must be complete.
Status readPostProcessor(const Json &postProcessor, Definition &definition);

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_HUGGINGFACEPIPELINE_H

//===- Tokenizer.h - Text to tokens and back --------------------*- C++ -*-===//
//
// The tokenizers that LLaMA-like models come with. One class reads all three
// kinds of file:
//
//   *.json   Hugging Face `tokenizer.json` with a BPE model
//   *.model  SentencePiece, BPE type
//   *.gguf   the `tokenizer.ggml.*` metadata of a GGUF file, kinds `llama`
//            (SentencePiece merges by score) and `gpt2` (byte-level BPE)
//
// A Tokenizer does not change after `load`; all its functions may be called
// from several threads at once.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_H
#define ODYSSEY_RUNTIME_TOKENIZER_H

#include "odyssey/runtime/Status.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

namespace tokenizer {
struct Definition;
} // namespace tokenizer

struct EncodeOptions {
  /// Whether the beginning-of-sequence tokens come first. Without a value the
  /// tokenizer's file decides.
  std::optional<bool> addBos = std::nullopt;
  /// Whether the text of a special token ("</s>") in the input becomes that
  /// token. False for text from an untrusted source. Added tokens that the
  /// file does not call special are recognised in any case.
  bool parseSpecial = true;
};

struct DecodeOptions {
  /// Whether special tokens are left out of the text.
  bool skipSpecial = true;
  /// The tokens continue a text (as the answer to a prompt does), so that the
  /// space in front of their first word is part of the text. False removes the
  /// space that a SentencePiece-like tokenizer puts in front of every text.
  bool continuation = false;
};

class Tokenizer {
public:
  /// Reads a tokenizer. The kind is chosen by the ending of `fileName`
  /// (`.json`, `.model`, `.gguf`), which also stands in the error messages;
  /// `content` may be released afterwards. DataLoss when the file contradicts
  /// itself or is cut short; Unsupported, naming it, when the file asks for
  /// something that is not implemented.
  static Result<std::unique_ptr<Tokenizer>>
  load(std::string_view fileName, std::span<const std::byte> content);

  ~Tokenizer();
  Tokenizer(const Tokenizer &) = delete;
  Tokenizer &operator=(const Tokenizer &) = delete;

  /// The tokens of `text`. InvalidArgument, naming the byte offset, when the
  /// text is not valid UTF-8, and when `addBos` asks for a token that the
  /// tokenizer does not have. The time is O(n log n) in the length of the text.
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      const EncodeOptions &options = {}) const;

  /// The text of `tokens`. Always valid UTF-8: bytes that do not form a
  /// character become U+FFFD. Ids outside the vocabulary give no text.
  std::string decode(std::span<const int32_t> tokens,
                     const DecodeOptions &options = {}) const;

  /// The number of ids, those without a token included: all ids are smaller.
  int32_t vocabularySize() const;

  /// The token that begins a sequence, where the file names one. A
  /// `tokenizer.json` names it through its post-processor only.
  std::optional<int32_t> bosToken() const;

  /// The tokens that end a sequence, in ascending order; empty where the file
  /// names none. A `tokenizer.json` has no field for them: special tokens with
  /// a customary name ("</s>", "<|im_end|>") are taken, and the `eos_token_id`
  /// of the model's configuration is the better source.
  std::span<const int32_t> eosTokens() const;

  /// The token as the vocabulary spells it ("▁the", "Ġthe", "<0x0A>"), empty
  /// for an id without a token. Lives as long as the tokenizer.
  std::string_view tokenText(int32_t token) const;

  /// Whether the token is a control token ("<s>") or the unknown token, which
  /// `decode` leaves out by default.
  bool isSpecial(int32_t token) const;

private:
  friend class StreamingDecoder;
  explicit Tokenizer(std::unique_ptr<const tokenizer::Definition> definition);

  std::unique_ptr<const tokenizer::Definition> definition;
};

/// Decodes tokens one by one, as a model produces them. The pieces of text that
/// `append` and the final `finish` return, put together, are what
/// `Tokenizer::decode` gives for all tokens at once.
class StreamingDecoder {
public:
  /// `tokenizer` must outlive the decoder.
  explicit StreamingDecoder(const Tokenizer &tokenizer,
                            const DecodeOptions &options = {});

  /// The text that `token` completes. Bytes of a character that is not yet
  /// complete are held back.
  std::string append(int32_t token);

  /// What is held back: U+FFFD for an incomplete character, else nothing. The
  /// decoder then starts a new text.
  std::string finish();

private:
  void reset();

  const Tokenizer &tokenizer;
  DecodeOptions options;
  std::string pending;
  bool isFirstToken = true;
  size_t spacesToStrip = 0;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_TOKENIZER_H

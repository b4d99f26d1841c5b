//===- StorageType.h - How a checkpoint stores numbers ----------*- C++ -*-===//
//
// The element types of safetensors files and the block formats of GGUF files,
// with their sizes, and their conversion to fp32.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_STORAGETYPE_H
#define ODYSSEY_FRONTEND_CHECKPOINT_STORAGETYPE_H

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>

namespace odyssey {

enum class StorageType {
  // Elements, in the spelling of safetensors.
  BOOL,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  I64,
  U64,
  F64,
  // Blocks along a row, in the spelling of ggml.
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q4_K,
  Q6_K,
};

/// "F32", "Q4_1", ...
llvm::StringRef storageTypeName(StorageType type);

/// A row is stored as blocks of `elements` values in `bytes` bytes each.
struct StorageBlock {
  int64_t elements;
  int64_t bytes;
};
StorageBlock storageBlock(StorageType type);

/// The type that a safetensors header calls `name`.
std::optional<StorageType> parseSafetensorsType(llvm::StringRef name);

/// The type that a GGUF file numbers `id`; nothing if Odyssey cannot read it.
std::optional<StorageType> parseGgmlType(uint32_t id);

/// ggml's name of type `id`, known to Odyssey or not: "IQ2_XXS", "type 99".
std::string ggmlTypeName(uint32_t id);

/// Whether `dequantize` knows `type`: the floats up to 32 bits (not F8) and
/// the block formats.
bool isDequantizable(StorageType type);

/// Converts `count` values, a multiple of the block's elements, to fp32.
/// `bytes` need not be aligned. `type` must be dequantizable.
void dequantize(StorageType type, const uint8_t *bytes, int64_t count,
                float *out);

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_STORAGETYPE_H

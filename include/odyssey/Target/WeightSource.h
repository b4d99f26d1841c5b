//===- WeightSource.h - The bytes behind odyssey.weight ---------*- C++ -*-===//

#ifndef ODYSSEY_TARGET_WEIGHTSOURCE_H
#define ODYSSEY_TARGET_WEIGHTSOURCE_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace odyssey {

class TensorSource;

/// One constant of the bundle.
struct BundleConstant {
  /// Its name in weights.safetensors.
  std::string name;
  /// The odyssey.weight or odyssey.rope_table that it comes from.
  mlir::Operation *op;
  /// As stored: packed weights are bytes ("u8") of one dimension.
  std::string type;
  std::vector<int64_t> shape;
  uint64_t bytes;
};

/// Describes the constant that `op` stands for.
BundleConstant describeConstant(mlir::Operation *op);

/// Makes a constant's bytes: reads the tensors that an odyssey.weight names
/// from `weights`, checks their types, shapes and values, concatenates and
/// packs them; evaluates a rope table. weights outside -8 to 7, or of 8
/// bits outside -127 to 127, group multipliers outside 0 to 15 and non-finite
/// numbers are errors that name the tensor and the index. `weights` may be null
/// where no tensor is named.
llvm::Expected<std::vector<uint8_t>> materialize(const BundleConstant &constant,
                                                 const TensorSource *weights);

} // namespace odyssey

#endif // ODYSSEY_TARGET_WEIGHTSOURCE_H

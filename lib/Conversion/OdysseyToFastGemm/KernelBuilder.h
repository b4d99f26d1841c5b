//===- KernelBuilder.h - Writes the body of one kernel ----------*- C++ -*-===//
//
// A thin layer over OpBuilder with which the kernels of this folder are written
// down. A Val is an SSA value with arithmetic operators, so that index and
// floating-point formulas read as formulas. Integer division, remainder, right
// shift and `<` on Vals are unsigned: indices are never negative.
//
// Parameters of every kernel are the addresses (global memory) of its operands
// (scalars as they are) and of its results, and M as i32; then, where it asks
// for them, of its scratch memory and its counters (#fastgemm.launch).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_KERNELBUILDER_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_KERNELBUILDER_H

#include "odyssey/Dialect/Odyssey/Odyssey.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace odyssey::conversion {

class KernelBuilder;

/// An SSA value with operators. Both sides of an operator have one type; a C++
/// integer or float on the right becomes a constant of the left's type.
struct Val {
  mlir::Value value;
  KernelBuilder *builder = nullptr;

  operator mlir::Value() const { return value; }
  mlir::Type type() const { return value.getType(); }
  bool isFloat() const;
};

Val operator+(Val a, Val b);
Val operator-(Val a, Val b);
Val operator*(Val a, Val b);
Val operator/(Val a, Val b);
Val operator%(Val a, Val b);
Val operator&(Val a, Val b);
Val operator|(Val a, Val b);
Val operator^(Val a, Val b);
Val operator<<(Val a, Val b);
Val operator>>(Val a, Val b);
/// Unsigned for integers, ordered for floats; the result is an i1.
Val operator<(Val a, Val b);
Val operator<=(Val a, Val b);
Val operator>(Val a, Val b);
Val operator==(Val a, Val b);

Val operator+(Val a, int64_t b);
Val operator-(Val a, int64_t b);
Val operator*(Val a, int64_t b);
Val operator/(Val a, int64_t b);
Val operator%(Val a, int64_t b);
Val operator&(Val a, int64_t b);
Val operator^(Val a, int64_t b);
Val operator<<(Val a, int64_t b);
Val operator>>(Val a, int64_t b);
Val operator<(Val a, int64_t b);
Val operator==(Val a, int64_t b);

enum class Reduction { Sum, Max };

class KernelBuilder : public mlir::ImplicitLocOpBuilder {
public:
  /// Replaces `kernel` by an empty gpu.func; the builder stands in its body.
  explicit KernelBuilder(graph::KernelOp kernel);

  /// Builds an operation at the insertion point.
  template <typename OpTy, typename... Args> OpTy create(Args &&...args) {
    return OpTy::create(*this, std::forward<Args>(args)...);
  }

  /// Sets the launch configuration and closes the body. `grid`, `perTokens` and
  /// `cluster` are those of `#fastgemm.launch`; with a token count that is
  /// static the grid is evaluated here.
  void finish(std::array<int64_t, 3> grid, std::array<int64_t, 3> perTokens,
              int64_t threads, int64_t sharedBytes, int64_t cluster = 1);

  /// Whether the kernel is for sm_90 and later.
  bool isHopper() const { return isDependent; }
  /// Programmatic dependent launch (sm_90 and later; nothing elsewhere): the
  /// kernel may have been launched before the one in front of it has ended.
  /// What stands before this call may read nothing but weights and write
  /// nothing; what stands behind it sees all that kernels before have written.
  /// Every thread comes here, once. A kernel that does not call this waits at
  /// its beginning.
  void waitForPrevious();

  //===--- Parameters
  //------------------------------------------------------===//

  /// The kernel's i-th operand (a scalar as it is) or result: its address.
  Val operand(unsigned i) { return val(func.getArgument(i)); }
  /// The same by the operand of an operation in the kernel; without value where
  /// that is no parameter of the kernel, but what another operation in it
  /// makes.
  Val operand(mlir::OpOperand &use) {
    auto argument = mlir::dyn_cast<mlir::BlockArgument>(use.get());
    return argument ? operand(argument.getArgNumber()) : Val();
  }
  Val result(unsigned i) { return val(func.getArgument(numOperands + i)); }
  /// M, the number of tokens: a parameter, or a constant where it is static.
  Val tokens() { return tokenCount; }
  /// M where it is known at compile time, else ShapedType::kDynamic.
  int64_t staticTokens() const { return staticM; }
  /// Device memory of this launch alone, `bytesPerCta` for each CTA of the
  /// grid. Called once, before counters().
  Val scratch(int64_t bytesPerCta);
  /// Counters of 32 bits, one per CTA of the grid. They are 0 when the kernel
  /// begins, and must be 0 when it ends. Called once.
  Val counters();

  //===--- Constants and types
  //---------------------------------------------===//

  mlir::Type i1() { return getI1Type(); }
  mlir::Type i8() { return getI8Type(); }
  mlir::Type i32() { return getI32Type(); }
  mlir::Type i64() { return getI64Type(); }
  mlir::Type f16() { return getF16Type(); }
  mlir::Type f32() { return getF32Type(); }
  mlir::VectorType vec(int64_t n, mlir::Type element) {
    return mlir::VectorType::get({n}, element);
  }
  Val val(mlir::Value value) { return {value, this}; }
  Val constant(int64_t value) { return constant(value, i32()); }
  Val constant(int64_t value, mlir::Type type);
  Val constantF32(float value);
  /// A vector of zeros.
  Val zeros(mlir::VectorType type);

  //===--- Where this thread is
  //--------------------------------------------===//

  Val threadIndex();
  /// The same, read anew: what is computed from it takes no registers before.
  Val threadIndexHere();
  /// The warp's index in the CTA, the same value in all its lanes also in the
  /// eyes of the compiler.
  Val warpIndex();
  /// CTA index in dimension 0, 1 or 2.
  Val blockIndex(int dimension);

  //===--- Memory
  //----------------------------------------------------------===//

  /// The address `bytes` (i32 or i64, unsigned) behind `pointer`.
  Val offset(Val pointer, Val bytes);
  Val offset(Val pointer, int64_t bytes);
  /// The address of row `row` of rows of `strideBytes`, in 64-bit arithmetic.
  Val row(Val pointer, Val row, int64_t strideBytes);
  /// Dynamic shared memory, `bytes` behind its start.
  Val shared(int64_t bytes = 0);
  /// Loads or stores; aligned to the type's size.
  Val load(mlir::Type type, Val pointer);
  /// A load where it stands, even if the value has been loaded before: then it
  /// takes no registers in between.
  Val loadHere(mlir::Type type, Val pointer);
  void store(Val value, Val pointer);
  void barrier();
  /// One thread of each of `arrivals` (i32, the same for all of them) CTAs
  /// calls this for the same counter. The result is whether it is the last one,
  /// which then sees what the others wrote to global memory before they
  /// arrived. The counter is then 0 again.
  Val arriveLast(Val counter, Val arrivals);

  //===--- Arithmetic
  //------------------------------------------------------===//

  Val select(Val condition, Val a, Val b);
  Val land(Val a, Val b);
  Val signedLess(Val a, Val b);
  /// The smaller of two integers, unsigned.
  Val min(Val a, Val b);
  Val maxF(Val a, Val b);
  Val minF(Val a, Val b);
  Val absF(Val a);
  Val fma(Val a, Val b, Val c);
  Val sqrt(Val a);
  Val toI64(Val a);
  Val toF32(Val a);
  /// fp32 to fp16, round to nearest even.
  Val toF16(Val a);
  Val intToF32(Val a);
  Val bitcast(Val a, mlir::Type type);
  /// exp(x) from fused multiply-adds alone, hence the same bits on every
  /// device; within 2 ulp; 0 below -87, finite everywhere, exactly 1 at 0.
  Val exp(Val x);
  /// 2^x for x up to 0 (docs/numerics.md, N20), of the same kind; 0 below -125,
  /// exactly 1 at 0.
  Val exp2(Val x);
  /// rne(x).
  Val roundEven(Val x);
  /// clamp(rne(x), -127, 127) as i32.
  Val roundToI8(Val x);
  /// One m16n8k16 product of fp16 fragments, added to `accumulator`.
  Val mmaF16(Val a, Val b, Val accumulator);
  /// Two fp16 as one i32, the first in the low half.
  Val packHalves(Val low, Val high);
  Val extract(Val vector, int64_t index);
  Val insert(Val element, Val vector, int64_t index);
  Val vectorOf(llvm::ArrayRef<Val> elements);

  //===--- Cooperation
  //-----------------------------------------------------===//

  /// The value of the lane whose number differs in `mask`.
  Val shuffleXor(Val value, int64_t mask);
  /// Over `width` neighbouring lanes (a power of two), as a butterfly: every
  /// lane has the result, and the order of the sum is fixed.
  Val warpReduce(Val value, Reduction kind, int64_t width = 32);
  /// Over the CTA's `threads` threads; every thread has the result. `scratch`
  /// (bytes into shared memory) takes 4 bytes per warp, and no other use until
  /// the next barrier.
  Val blockReduce(Val value, Reduction kind, int64_t threads, int64_t scratch);
  Val reduce(Val a, Val b, Reduction kind);

  //===--- Control
  //---------------------------------------------------------===//

  /// for (i = from; i < to; i += step), carrying `init`; the body returns the
  /// next values.
  llvm::SmallVector<Val>
  loop(Val from, Val to, Val step, llvm::ArrayRef<Val> init,
       llvm::function_ref<llvm::SmallVector<Val>(Val, llvm::ArrayRef<Val>)>
           body);
  void ifThen(Val condition, llvm::function_ref<void()> body);
  void ifThenElse(Val condition, llvm::function_ref<void()> then,
                  llvm::function_ref<void()> otherwise);
  Val ifElse(Val condition, llvm::function_ref<Val()> then,
             llvm::function_ref<Val()> otherwise);

private:
  Val sharedBase();
  void gridDependency(llvm::StringRef action);
  Val addParameter();

  graph::KernelOp kernel;
  mlir::gpu::GPUFuncOp func;
  unsigned numOperands;
  Val tokenCount;
  int64_t staticM = mlir::ShapedType::kDynamic;
  mlir::Value sharedAddress, threadIdx;
  /// Whether the kernel has the attribute kDependentLaunchAttrName, and whether
  /// it has waited.
  bool isDependent, hasWaited = false;
  int64_t scratchBytes = 0;
  bool hasCounters = false;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_KERNELBUILDER_H

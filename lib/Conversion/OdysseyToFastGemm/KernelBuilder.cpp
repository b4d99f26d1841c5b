//===- KernelBuilder.cpp - Writes the body of one kernel ------------------===//

#include "KernelBuilder.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

bool Val::isFloat() const {
  return isa<FloatType>(getElementTypeOrSelf(value.getType()));
}

template <typename IntOp, typename FloatOp> static Val binary(Val a, Val b) {
  KernelBuilder &k = *a.builder;
  if (a.isFloat())
    return k.val(k.create<FloatOp>(a.value, b.value));
  return k.val(k.create<IntOp>(a.value, b.value));
}
template <typename IntOp> static Val integer(Val a, Val b) {
  return a.builder->val(a.builder->create<IntOp>(a.value, b.value));
}

namespace odyssey::conversion {
Val operator+(Val a, Val b) {
  return binary<arith::AddIOp, arith::AddFOp>(a, b);
}
Val operator-(Val a, Val b) {
  return binary<arith::SubIOp, arith::SubFOp>(a, b);
}
Val operator*(Val a, Val b) {
  return binary<arith::MulIOp, arith::MulFOp>(a, b);
}
Val operator/(Val a, Val b) {
  return binary<arith::DivUIOp, arith::DivFOp>(a, b);
}
Val operator%(Val a, Val b) { return integer<arith::RemUIOp>(a, b); }
Val operator&(Val a, Val b) { return integer<arith::AndIOp>(a, b); }
Val operator|(Val a, Val b) { return integer<arith::OrIOp>(a, b); }
Val operator^(Val a, Val b) { return integer<arith::XOrIOp>(a, b); }
Val operator<<(Val a, Val b) { return integer<arith::ShLIOp>(a, b); }
Val operator>>(Val a, Val b) { return integer<arith::ShRUIOp>(a, b); }

static Val compare(Val a, Val b, arith::CmpIPredicate intPredicate,
                   arith::CmpFPredicate floatPredicate) {
  KernelBuilder &k = *a.builder;
  if (a.isFloat())
    return k.val(k.create<arith::CmpFOp>(floatPredicate, a.value, b.value));
  return k.val(k.create<arith::CmpIOp>(intPredicate, a.value, b.value));
}
Val operator<(Val a, Val b) {
  return compare(a, b, arith::CmpIPredicate::ult, arith::CmpFPredicate::OLT);
}
Val operator<=(Val a, Val b) {
  return compare(a, b, arith::CmpIPredicate::ule, arith::CmpFPredicate::OLE);
}
Val operator>(Val a, Val b) {
  return compare(a, b, arith::CmpIPredicate::ugt, arith::CmpFPredicate::OGT);
}
Val operator==(Val a, Val b) {
  return compare(a, b, arith::CmpIPredicate::eq, arith::CmpFPredicate::OEQ);
}

static Val like(Val a, int64_t b) { return a.builder->constant(b, a.type()); }
Val operator+(Val a, int64_t b) { return b == 0 ? a : a + like(a, b); }
Val operator-(Val a, int64_t b) { return b == 0 ? a : a - like(a, b); }
Val operator*(Val a, int64_t b) { return b == 1 ? a : a * like(a, b); }
Val operator/(Val a, int64_t b) { return b == 1 ? a : a / like(a, b); }
Val operator%(Val a, int64_t b) { return a % like(a, b); }
Val operator&(Val a, int64_t b) { return a & like(a, b); }
Val operator^(Val a, int64_t b) { return a ^ like(a, b); }
Val operator<<(Val a, int64_t b) { return a << like(a, b); }
Val operator>>(Val a, int64_t b) { return a >> like(a, b); }
Val operator<(Val a, int64_t b) { return a < like(a, b); }
Val operator==(Val a, int64_t b) { return a == like(a, b); }
} // namespace odyssey::conversion

//===----------------------------------------------------------------------===//
// The function around the body
//===----------------------------------------------------------------------===//

/// M of a kernel: the leading size of its first result, or operand.
static int64_t tokenDimension(graph::KernelOp kernel) {
  Operation *op = &kernel.getBody().front().front();
  Value first = op->getNumResults() ? op->getResult(0) : op->getOperand(0);
  return cast<ShapedType>(first.getType()).getDimSize(0);
}

KernelBuilder::KernelBuilder(graph::KernelOp kernel)
    : ImplicitLocOpBuilder(kernel.getLoc(), kernel), kernel(kernel),
      numOperands(kernel.getArgumentTypes().size()),
      isDependent(kernel->hasAttr(fastgemm::kDependentLaunchAttrName)) {
  auto pointer = LLVM::LLVMPointerType::get(getContext(), 1);
  // Scalars are passed as they are, everything else by its address.
  SmallVector<Type> parameters;
  for (Type type : kernel.getArgumentTypes())
    parameters.push_back(type.isSignlessInteger() ? type : Type(pointer));
  parameters.append(kernel.getResultTypes().size(), pointer);
  parameters.push_back(getI32Type());
  func =
      create<gpu::GPUFuncOp>(kernel.getName(), getFunctionType(parameters, {}));
  func->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), getUnitAttr());
  func->setAttr("kind", kernel.getKindAttr());
  if (isDependent)
    func->setAttr(fastgemm::kDependentLaunchAttrName, getUnitAttr());
  setInsertionPointToStart(&func.getBody().front());
  staticM = tokenDimension(kernel);
  tokenCount = ShapedType::isDynamic(staticM) ? val(func.getArguments().back())
                                              : constant(staticM);
}

/// As inline assembly, since LLVM's intrinsics do not keep loads and stores
/// from moving across them.
void KernelBuilder::gridDependency(StringRef action) {
  if (!isDependent)
    return;
  create<LLVM::InlineAsmOp>(
      /*resultTypes=*/TypeRange(), /*operands=*/ValueRange(),
      ("griddepcontrol." + action + ";").str(), /*constraints=*/"~{memory}",
      /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
}

void KernelBuilder::waitForPrevious() {
  hasWaited = true;
  gridDependency("wait");
}

void KernelBuilder::finish(std::array<int64_t, 3> grid,
                           std::array<int64_t, 3> perTokens, int64_t threads,
                           int64_t sharedBytes, int64_t cluster) {
  if (!ShapedType::isDynamic(staticM))
    for (int i = 0; i < 3; ++i)
      if (perTokens[i] != 0) {
        grid[i] *= (staticM + perTokens[i] - 1) / perTokens[i];
        perTokens[i] = 0;
      }
  create<gpu::ReturnOp>();
  setInsertionPointToStart(&func.getBody().front());
  if (!hasWaited)
    waitForPrevious();
  // The next kernel's CTAs may come as soon as all of this one's have: they
  // wait for its end themselves.
  setInsertionPointToStart(&func.getBody().front());
  gridDependency("launch_dependents");
  // LLVM may widen neighbouring loads to 16 bytes, past the last one.
  sharedBytes = (sharedBytes + 15) / 16 * 16;
  func->setAttr(fastgemm::kLaunchAttrName,
                fastgemm::LaunchAttr::get(getContext(), grid, perTokens,
                                          threads, sharedBytes, cluster,
                                          scratchBytes, hasCounters));
  func.setKnownBlockSizeAttr(
      getDenseI32ArrayAttr({static_cast<int32_t>(threads), 1, 1}));
  kernel.erase();
}

Val KernelBuilder::addParameter() {
  auto pointer = LLVM::LLVMPointerType::get(getContext(), 1);
  unsigned index = func.getNumArguments();
  (void)func.insertArgument(index, pointer, DictionaryAttr(), getLoc());
  return val(func.getArgument(index));
}
Val KernelBuilder::scratch(int64_t bytesPerCta) {
  assert(scratchBytes == 0 && !hasCounters && "the order of parameters");
  scratchBytes = bytesPerCta;
  return addParameter();
}
Val KernelBuilder::counters() {
  assert(!hasCounters && "one parameter");
  hasCounters = true;
  return addParameter();
}

//===----------------------------------------------------------------------===//
// Constants and indices
//===----------------------------------------------------------------------===//

Val KernelBuilder::constant(int64_t value, Type type) {
  return val(create<arith::ConstantOp>(getIntegerAttr(type, value)));
}
Val KernelBuilder::constantF32(float value) {
  return val(create<arith::ConstantOp>(getF32FloatAttr(value)));
}
Val KernelBuilder::zeros(VectorType type) {
  return val(create<arith::ConstantOp>(
      DenseElementsAttr::get(type, getZeroAttr(type.getElementType()))));
}

Val KernelBuilder::threadIndexHere() {
  return val(
      create<LLVM::InlineAsmOp>(
          i32(), ValueRange(), "mov.u32 $0, %tid.x;", "=r",
          /*has_side_effects=*/true, /*is_align_stack=*/false,
          LLVM::TailCallKind::None,
          LLVM::AsmDialectAttr::get(getContext(), LLVM::AsmDialect::AD_ATT),
          /*operand_attrs=*/ArrayAttr())
          .getRes());
}
Val KernelBuilder::threadIndex() {
  if (!threadIdx) {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(&func.getBody().front());
    threadIdx = create<NVVM::ThreadIdXOp>(getI32Type());
  }
  return val(threadIdx);
}

Val KernelBuilder::warpIndex() {
  return val(create<NVVM::ShflOp>(
      i32(), constant(-1).value, (threadIndex() >> 5).value, constant(0).value,
      constant(31).value, NVVM::ShflKind::idx, UnitAttr()));
}

Val KernelBuilder::blockIndex(int dimension) {
  switch (dimension) {
  case 0:
    return val(create<NVVM::BlockIdXOp>(getI32Type()));
  case 1:
    return val(create<NVVM::BlockIdYOp>(getI32Type()));
  default:
    return val(create<NVVM::BlockIdZOp>(getI32Type()));
  }
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Val KernelBuilder::offset(Val pointer, Val bytes) {
  return val(create<LLVM::GEPOp>(pointer.type(), getI8Type(), pointer.value,
                                 ArrayRef<LLVM::GEPArg>{toI64(bytes).value}));
}
Val KernelBuilder::offset(Val pointer, int64_t bytes) {
  return bytes == 0 ? pointer : offset(pointer, constant(bytes, i64()));
}
Val KernelBuilder::row(Val pointer, Val row, int64_t strideBytes) {
  return offset(pointer, toI64(row) * strideBytes);
}

Val KernelBuilder::sharedBase() {
  static constexpr llvm::StringLiteral name = "odyssey_shared";
  if (sharedAddress)
    return val(sharedAddress);
  auto module = func->getParentOfType<gpu::GPUModuleOp>();
  auto global = module.lookupSymbol<LLVM::GlobalOp>(name);
  OpBuilder::InsertionGuard guard(*this);
  if (!global) {
    setInsertionPointToStart(module.getBody());
    global = create<LLVM::GlobalOp>(
        LLVM::LLVMArrayType::get(getI8Type(), 0), /*isConstant=*/false,
        LLVM::Linkage::External, name, Attribute(), /*alignment=*/1024,
        /*addrSpace=*/3);
  }
  setInsertionPointToStart(&func.getBody().front());
  sharedAddress = create<LLVM::AddressOfOp>(global);
  return val(sharedAddress);
}
Val KernelBuilder::shared(int64_t bytes) { return offset(sharedBase(), bytes); }

static unsigned sizeInBytes(Type type) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.getNumElements() * vector.getElementTypeBitWidth() / 8;
  return type.getIntOrFloatBitWidth() / 8;
}

Val KernelBuilder::load(Type type, Val pointer) {
  return val(create<LLVM::LoadOp>(type, pointer.value, sizeInBytes(type)));
}
Val KernelBuilder::loadHere(Type type, Val pointer) {
  return val(create<LLVM::LoadOp>(type, pointer.value, sizeInBytes(type),
                                  /*isVolatile=*/true));
}
void KernelBuilder::store(Val value, Val pointer) {
  create<LLVM::StoreOp>(value.value, pointer.value, sizeInBytes(value.type()));
}
void KernelBuilder::barrier() { create<gpu::BarrierOp>(); }

Val KernelBuilder::arriveLast(Val counter, Val arrivals) {
  // Fences of their own: LLVM drops the ordering of an atomic increment.
  auto fence = [&] {
    create<LLVM::FenceOp>(LLVM::AtomicOrdering::acq_rel, "device");
  };
  fence();
  Val last = arrivals - 1;
  Val before = val(create<LLVM::AtomicRMWOp>(
      LLVM::AtomicBinOp::uinc_wrap, counter.value, last.value,
      LLVM::AtomicOrdering::monotonic, "device"));
  fence();
  return before == last;
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Val KernelBuilder::select(Val condition, Val a, Val b) {
  return val(create<arith::SelectOp>(condition.value, a.value, b.value));
}
Val KernelBuilder::land(Val a, Val b) { return a & b; }
Val KernelBuilder::signedLess(Val a, Val b) {
  return val(
      create<arith::CmpIOp>(arith::CmpIPredicate::slt, a.value, b.value));
}
Val KernelBuilder::min(Val a, Val b) {
  return val(create<arith::MinUIOp>(a.value, b.value));
}
Val KernelBuilder::maxF(Val a, Val b) {
  return val(create<arith::MaxNumFOp>(a.value, b.value));
}
Val KernelBuilder::minF(Val a, Val b) {
  return val(create<arith::MinNumFOp>(a.value, b.value));
}
Val KernelBuilder::absF(Val a) {
  return val(create<LLVM::FAbsOp>(a.type(), a.value));
}
Val KernelBuilder::fma(Val a, Val b, Val c) {
  return val(create<LLVM::FMAOp>(a.type(), a.value, b.value, c.value));
}
Val KernelBuilder::sqrt(Val a) {
  return val(create<LLVM::SqrtOp>(a.type(), a.value));
}
Val KernelBuilder::toI64(Val a) {
  if (a.type().isInteger(64))
    return a;
  return val(create<arith::ExtUIOp>(getI64Type(), a.value));
}
static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}
Val KernelBuilder::toF32(Val a) {
  return val(create<arith::ExtFOp>(withElement(a.type(), f32()), a.value));
}
Val KernelBuilder::toF16(Val a) {
  return val(create<arith::TruncFOp>(withElement(a.type(), f16()), a.value));
}
Val KernelBuilder::intToF32(Val a) {
  return val(create<arith::SIToFPOp>(withElement(a.type(), f32()), a.value));
}
Val KernelBuilder::bitcast(Val a, Type type) {
  return val(create<LLVM::BitcastOp>(type, a.value));
}

Val KernelBuilder::exp(Val x) {
  // exp(x) = 2^n * exp(f) with n = rne(x / ln 2), |f| <= ln(2) / 2. The
  // polynomial is that of Cephes' expf (Moshier, netlib), ln 2 is split in two
  // so that n * ln2High is exact.
  Val low = constantF32(-87.0f), high = constantF32(88.0f);
  Val clamped = minF(maxF(x, low), high);
  Val n = roundEven(clamped * constantF32(1.44269504088896341f));
  Val f = fma(n, constantF32(-0.693359375f), clamped);
  f = fma(n, constantF32(2.12194440e-4f), f);
  Val p = constantF32(1.9875691500e-4f);
  for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
                  1.6666665459e-1f, 5.0000001201e-1f})
    p = fma(p, f, constantF32(c));
  p = fma(p, f * f, f) + constantF32(1.0f);
  Val exponent = val(create<arith::FPToSIOp>(i32(), n.value));
  Val power = bitcast((exponent + 127) << 23, f32());
  return select(x < low, constantF32(0.0f), p * power);
}

Val KernelBuilder::exp2(Val x) {
  // 2^n * 2^f with n = rne(x), |f| <= 1/2; the polynomial is that of Cephes'
  // exp2f. A sum with 1.5 * 2^23 is rounded to an integer, which stands in its
  // lowest bits.
  Val low = constantF32(-125.0f), toInteger = constantF32(0x1.8p23f);
  Val clamped = maxF(x, low);
  Val shifted = clamped + toInteger;
  Val f = clamped - (shifted - toInteger);
  Val p = constantF32(1.535336188319500e-4f);
  for (float c :
       {1.339887440266574e-3f, 9.618437357674640e-3f, 5.550332471162809e-2f,
        2.402264791363012e-1f, 6.931472028550421e-1f, 1.0f})
    p = fma(p, f, constantF32(c));
  Val power =
      bitcast(bitcast(p, i32()) + (bitcast(shifted, i32()) << 23), f32());
  return select(x < low, constantF32(0.0f), power);
}

Val KernelBuilder::roundEven(Val x) {
  return val(create<LLVM::RoundEvenOp>(f32(), x.value));
}

Val KernelBuilder::roundToI8(Val x) {
  Val rounded = roundEven(x);
  rounded = minF(maxF(rounded, constantF32(-127.0f)), constantF32(127.0f));
  return val(create<arith::FPToSIOp>(i32(), rounded.value));
}

Val KernelBuilder::mmaF16(Val a, Val b, Val accumulator) {
  return val(create<fastgemm::MmaF16Op>(accumulator.type(), a.value, b.value,
                                        accumulator.value));
}
Val KernelBuilder::packHalves(Val low, Val high) {
  return bitcast(vectorOf({low, high}), i32());
}
Val KernelBuilder::extract(Val vector, int64_t index) {
  return val(create<vector::ExtractOp>(vector.value, index));
}
Val KernelBuilder::insert(Val element, Val vector, int64_t index) {
  return val(create<vector::InsertOp>(element.value, vector.value, index));
}
Val KernelBuilder::vectorOf(ArrayRef<Val> elements) {
  SmallVector<Value> values(elements.begin(), elements.end());
  return val(create<vector::FromElementsOp>(
      vec(elements.size(), elements[0].type()), values));
}

//===----------------------------------------------------------------------===//
// Cooperation
//===----------------------------------------------------------------------===//

Val KernelBuilder::shuffleXor(Val value, int64_t mask) {
  return val(create<NVVM::ShflOp>(value.type(), constant(-1).value, value.value,
                                  constant(mask).value, constant(31).value,
                                  NVVM::ShflKind::bfly, UnitAttr()));
}

Val KernelBuilder::reduce(Val a, Val b, Reduction kind) {
  return kind == Reduction::Sum ? a + b : maxF(a, b);
}

Val KernelBuilder::warpReduce(Val value, Reduction kind, int64_t width) {
  for (int64_t mask = width / 2; mask > 0; mask /= 2)
    value = reduce(value, shuffleXor(value, mask), kind);
  return value;
}

Val KernelBuilder::blockReduce(Val value, Reduction kind, int64_t threads,
                               int64_t scratch) {
  value = warpReduce(value, kind);
  int64_t warps = threads / 32;
  if (warps == 1)
    return value;
  Val thread = threadIndex();
  ifThen((thread & 31) == 0,
         [&] { store(value, offset(shared(scratch), (thread >> 5) << 2)); });
  barrier();
  // Every thread adds the warps' partial results in the same order.
  Val total = load(f32(), shared(scratch));
  for (int64_t warp = 1; warp < warps; ++warp)
    total = reduce(total, load(f32(), shared(scratch + 4 * warp)), kind);
  return total;
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

SmallVector<Val> KernelBuilder::loop(
    Val from, Val to, Val step, ArrayRef<Val> init,
    llvm::function_ref<SmallVector<Val>(Val, ArrayRef<Val>)> body) {
  SmallVector<Value> initial(init.begin(), init.end());
  auto forOp = create<scf::ForOp>(from.value, to.value, step.value, initial);
  {
    OpBuilder::InsertionGuard guard(*this);
    Block *block = forOp.getBody();
    // Without carried values the builder has already added the terminator.
    if (!block->empty() && block->back().hasTrait<OpTrait::IsTerminator>())
      block->back().erase();
    setInsertionPointToEnd(block);
    SmallVector<Val> carried;
    for (Value argument : forOp.getRegionIterArgs())
      carried.push_back(val(argument));
    SmallVector<Val> next = body(val(forOp.getInductionVar()), carried);
    create<scf::YieldOp>(SmallVector<Value>(next.begin(), next.end()));
  }
  SmallVector<Val> results;
  for (Value result : forOp.getResults())
    results.push_back(val(result));
  return results;
}

void KernelBuilder::ifThen(Val condition, llvm::function_ref<void()> body) {
  auto ifOp = create<scf::IfOp>(condition.value, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(ifOp.thenBlock());
  body();
}

void KernelBuilder::ifThenElse(Val condition, llvm::function_ref<void()> then,
                               llvm::function_ref<void()> otherwise) {
  auto ifOp = create<scf::IfOp>(condition.value, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(ifOp.thenBlock());
  then();
  setInsertionPointToStart(ifOp.elseBlock());
  otherwise();
}

Val KernelBuilder::ifElse(Val condition, llvm::function_ref<Val()> then,
                          llvm::function_ref<Val()> otherwise) {
  auto ifOp = create<scf::IfOp>(
      condition.value,
      [&](OpBuilder &inner, Location loc) {
        OpBuilder::InsertionGuard guard(*this);
        restoreInsertionPoint(inner.saveInsertionPoint());
        Val result = then();
        scf::YieldOp::create(*this, loc, result.value);
      },
      [&](OpBuilder &inner, Location loc) {
        OpBuilder::InsertionGuard guard(*this);
        restoreInsertionPoint(inner.saveInsertionPoint());
        Val result = otherwise();
        scf::YieldOp::create(*this, loc, result.value);
      });
  return val(ifOp.getResult(0));
}

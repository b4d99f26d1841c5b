//===- KernelCompiler.cpp - Kernels to machine code, in parallel ----------===//

#include "odyssey/Compiler/KernelCompiler.h"

#include "KernelCache.h"
#include "odyssey/Target/Pipelines.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <atomic>
#include <thread>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::compiler;

namespace {

/// Attributes with this prefix go from the lowered function to the plan.
constexpr StringRef kPlanPrefix = "fastgemm.";

/// A kernel as text, which is how it crosses from one context to another.
struct KernelText {
  std::string name;
  /// Without locations, which do not change what is compiled.
  std::string key;
  std::string withLocations;
};

KernelText textOf(graph::KernelOp kernel) {
  KernelText text;
  text.name = kernel.getName().str();
  llvm::raw_string_ostream key(text.key), located(text.withLocations);
  kernel->print(key);
  kernel->print(located, OpPrintingFlags().enableDebugInfo());
  return text;
}

/// "file:line:column: message", in a line of its own.
void addMessage(const Diagnostic &diagnostic, std::string &messages) {
  llvm::raw_string_ostream stream(messages);
  if (!messages.empty())
    stream << '\n';
  if (auto place = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
    stream << place.getFilename().getValue() << ':' << place.getLine() << ':'
           << place.getColumn() << ": ";
  stream << diagnostic;
}

/// One thread's compiler.
class Worker {
public:
  explicit Worker(const KernelCompilerOptions &options)
      : options(options), context(MLIRContext::Threading::DISABLED) {
    DialectRegistry registry;
    registry.insert<graph::OdysseyDialect, fastgemm::FastGemmDialect,
                    arith::ArithDialect, func::FuncDialect, gpu::GPUDialect>();
    registerPipelineInterfaces(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    context.printOpOnDiagnostic(false);
  }

  llvm::Expected<CompiledKernel> compile(const KernelText &text);

private:
  llvm::Error lower(ModuleOp module);

  const KernelCompilerOptions &options;
  MLIRContext context;
};

llvm::Error Worker::lower(ModuleOp module) {
  PassManager manager(&context);
  if (options.usePassManagerOptions &&
      failed(applyPassManagerCLOptions(manager)))
    return llvm::createStringError("the pass manager's options are wrong");
  buildFragmentPipeline(manager);
  buildNvvmPipeline(manager);
  std::string messages;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
      return failure();
    addMessage(diagnostic, messages);
    for (Diagnostic &note : diagnostic.getNotes())
      addMessage(note, messages);
    return success();
  });
  if (failed(manager.run(module)))
    return llvm::createStringError(messages);
  return llvm::Error::success();
}

llvm::Expected<CompiledKernel> Worker::compile(const KernelText &text) {
  std::string source = ("gpu.module @" + graph::kKernelModuleName + " {\n" +
                        StringRef(text.withLocations) + "\n}\n")
                           .str();
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(source, ParserConfig(&context));
  if (!module)
    return llvm::createStringError("kernel '" + text.name +
                                   "' cannot be read back from its text");
  if (llvm::Error error = lower(*module))
    return error;
  auto kernels =
      module->lookupSymbol<gpu::GPUModuleOp>(graph::kKernelModuleName);
  auto function = *kernels.getOps<LLVM::LLVMFuncOp>().begin();

  CompiledKernel result;
  SmallVector<NamedAttribute> attributes;
  for (NamedAttribute attribute : function->getDiscardableAttrs())
    if (attribute.getName().getValue().starts_with(kPlanPrefix))
      attributes.push_back(attribute);
  llvm::raw_string_ostream(result.attributes)
      << DictionaryAttr::get(&context, attributes);
  result.resources.name = text.name;

  auto launch =
      function->getAttrOfType<fastgemm::LaunchAttr>(fastgemm::kLaunchAttrName);
  int64_t shared = launch ? launch.getSharedBytes() : 0;
  if (shared > options.target.sharedBytesPerBlock)
    return llvm::createStringError("kernel '" + text.name + "' needs " +
                                   Twine(shared) + " bytes of shared memory, " +
                                   options.target.name + " has " +
                                   Twine(options.target.sharedBytesPerBlock));
  auto ptx = emitPtx(kernels, options.target);
  if (!ptx)
    return ptx.takeError();
  result.ptx = std::move(*ptx);
  if (options.ptxas.empty())
    return result;
  auto cubin = assemble(options.ptxas, result.ptx, options.target);
  if (!cubin)
    return cubin.takeError();
  result.cubin = std::move(cubin->image);
  if (!cubin->kernels.empty())
    result.resources = cubin->kernels.front();
  // What ptxas does not see.
  result.resources.sharedBytes += static_cast<int>(shared);
  return result;
}

} // namespace

std::vector<llvm::Expected<CompiledKernel>>
compiler::compileKernels(ArrayRef<graph::KernelOp> kernels,
                         const KernelCompilerOptions &options) {
  std::vector<KernelText> texts;
  for (graph::KernelOp kernel : kernels)
    texts.push_back(textOf(kernel));
  KernelCache cache(options.cache, options);
  std::vector<std::optional<llvm::Expected<CompiledKernel>>> results(
      texts.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    // Made by the first kernel that the cache does not have.
    std::optional<Worker> worker;
    for (size_t i = next++; i < texts.size(); i = next++) {
      std::string key = cache.key(texts[i].key);
      if (auto found = cache.find(key)) {
        results[i].emplace(std::move(*found));
        continue;
      }
      if (!worker)
        worker.emplace(options);
      results[i].emplace(worker->compile(texts[i]));
      if (*results[i])
        cache.store(key, **results[i]);
    }
  };
  unsigned jobs = options.jobs
                      ? options.jobs
                      : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < std::min<size_t>(jobs, texts.size()); ++i)
    threads.emplace_back(work);
  work();
  for (std::thread &thread : threads)
    thread.join();
  cache.prune();

  std::vector<llvm::Expected<CompiledKernel>> ordered;
  for (auto &result : results)
    ordered.push_back(std::move(*result));
  return ordered;
}

void compiler::attach(graph::KernelOp kernel, const CompiledKernel &compiled) {
  auto attributes = cast<DictionaryAttr>(
      parseAttribute(compiled.attributes, kernel->getContext()));
  for (NamedAttribute attribute : attributes)
    kernel->setAttr(attribute.getName(), attribute.getValue());
}

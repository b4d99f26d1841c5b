//===- Report.h - Results of odyssey-eval, for people and programs *- C++ -*-=//

#ifndef ODYSSEY_TOOLS_ODYSSEYEVAL_REPORT_H
#define ODYSSEY_TOOLS_ODYSSEYEVAL_REPORT_H

#include "Model.h"
#include "Texts.h"

#include "odyssey/Reference/Comparison.h"

#include <nlohmann/json.hpp>

namespace odyssey::eval {

using Json = nlohmann::ordered_json;

/// What was measured on, and how.
struct TextRun {
  std::string path;
  int64_t bytes = 0, tokens = 0;
  reference::PerplexityOptions windows;
};

/// -log2 p of the text per byte: that of the tokens that count, taken for the
/// mean of all of the text's tokens.
double bitsPerByte(const TextRun &run,
                   const reference::PerplexityResult &result);

Json toJson(const Model &model);
Json toJson(const TextRun &run);
Json toJson(const TextRun &run, const reference::PerplexityResult &result);
Json toJson(const reference::ComparisonResult &result);
Json toJson(const reference::LastWordResult &result);

void print(const Model &model);
void print(const TextRun &run);
void print(const TextRun &run, const reference::PerplexityResult &result);
void print(const TextRun &run, const reference::ComparisonResult &result);
void print(const reference::LastWordResult &result);

} // namespace odyssey::eval

#endif // ODYSSEY_TOOLS_ODYSSEYEVAL_REPORT_H

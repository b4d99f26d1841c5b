//===- ReportPage.h - What quantization did, as a web page ------*- C++ -*-===//
//
// One HTML file without scripts and without anything from elsewhere: plots as
// inline SVG that one can read at a glance, values on hovering, and a table of
// all numbers.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_QUANTIZE_REPORTPAGE_H
#define ODYSSEY_QUANTIZE_REPORTPAGE_H

#include "odyssey/Quantize/LayerwiseQuantizer.h"

#include "llvm/ADT/StringRef.h"

#include <string>
#include <utility>
#include <vector>

namespace odyssey {

struct ReportPage {
  /// "SmolLM2-135M.gguf"
  std::string title;
  /// What was done, as lines of a name and a value: the recipe, the text.
  std::vector<std::pair<std::string, std::string>> facts;
  /// In the order of the model.
  std::vector<LinearReport> linears;

  /// The page, in UTF-8; well-formed XML, so that programs can read it too.
  std::string html() const;
};

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_REPORTPAGE_H

// RUN: odyssey-opt %s --odyssey-split-attention=max-splits=0 --verify-diagnostics

// expected-error@+1 {{expects max-splits of at least 1, got 0}}
module {
}

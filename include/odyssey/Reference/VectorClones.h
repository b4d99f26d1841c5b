//===- VectorClones.h - One loop for several vector units -------*- C++ -*-===//

#ifndef ODYSSEY_REFERENCE_VECTORCLONES_H
#define ODYSSEY_REFERENCE_VECTORCLONES_H

// In front of a function: compiles it for the vector units of several
// generations; the one that fits is chosen when the program is loaded. Without
// reassociation and contraction all of them give the same bits.
#if defined(__x86_64__) && defined(__linux__)
#define ODYSSEY_VECTOR_CLONES                                                  \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ODYSSEY_VECTOR_CLONES
#endif

#endif // ODYSSEY_REFERENCE_VECTORCLONES_H

// RUN: odyssey-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{expects an offset of 0 or 8, got 4}}
func.func private @offset(tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 4>>)

// -----

// expected-error@+1 {{expects groups of 32, 64 or 128 input channels, got 256}}
func.func private @group(tensor<64x1xi8, #fastgemm.multipliers<channels = 64, group = 256>>)

// -----

// expected-error@+1 {{expects channels to be a multiple of 32, got 48}}
func.func private @channels(tensor<64x1xi8, #fastgemm.multipliers<channels = 48, group = 64>>)

// -----

// expected-error@+1 {{expects elements of type i8, got 'i4'}}
func.func private @element(tensor<64x1xi4, #fastgemm.multipliers<channels = 64, group = 64>>)

// -----

// expected-error@+1 {{expects a matrix, got a tensor of rank 1}}
func.func private @rank(tensor<64xi8, #fastgemm.multipliers<channels = 64, group = 64>>)

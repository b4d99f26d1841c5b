// RUN: odyssey-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

func.func @weight_zero_size() {
  // expected-error@+1 {{'odyssey.weight' op expects result 0 to have no zero size, got 'tensor<0x64xi4>'}}
  %w = odyssey.weight "w" : tensor<0x64xi4>
  return
}

// -----

func.func @weight_no_name() {
  // expected-error@+1 {{'odyssey.weight' op expects at least one name}}
  %w = "odyssey.weight"() {names = []} : () -> tensor<64x64xi4>
  return
}

// -----

func.func @table_odd_dimension() {
  // expected-error@+1 {{'odyssey.rope_table' op expects a table of [positions, even head dimension], got 'tensor<128x7xf32>'}}
  %t = odyssey.rope_table theta = 1.0e4 : tensor<128x7xf32>
  return
}

// -----

func.func @table_rank() {
  // expected-error@+1 {{'odyssey.rope_table' op expects a table of [positions, even head dimension], got 'tensor<128xf32>'}}
  %t = odyssey.rope_table theta = 1.0e4 : tensor<128xf32>
  return
}

// -----

func.func @table_scaling() {
  // expected-error@+1 {{'odyssey.rope_table' op expects scaling 'none', 'linear' or 'llama3', got 'yarn'}}
  %t = odyssey.rope_table theta = 1.0e4 {scaling = "yarn"} : tensor<128x8xf32>
  return
}

// -----

func.func @table_parameters() {
  // expected-error@+1 {{'odyssey.rope_table' op expects 4 parameters for scaling 'llama3', got 1}}
  %t = odyssey.rope_table theta = 1.0e4 {scaling = "llama3", parameters = array<f64: 8.0>} : tensor<128x8xf32>
  return
}

// -----

func.func @table_zero_size() {
  // expected-error@+1 {{'odyssey.rope_table' op expects result 0 to have no zero size, got 'tensor<0x8xf32>'}}
  %t = odyssey.rope_table theta = 1.0e4 : tensor<0x8xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

func.func @linear_k(%x: tensor<?x64xf16>, %w: tensor<32x96xf16>) {
  // expected-error@+1 {{'odyssey.linear' op expects K of the weights (96) to equal K of x (64)}}
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x96xf16>) -> tensor<?x32xf16>
  return
}

// -----

func.func @linear_rows(%x: tensor<?x64xf16>, %w: tensor<32x64xf16>) {
  // expected-error@+1 {{'odyssey.linear' op expects the result's rows (4) to equal the rows of x (?)}}
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<4x32xf16>
  return
}

// -----

func.func @linear_bias(%x: tensor<?x64xf16>, %w: tensor<32x64xf16>, %b: tensor<64xf16>) {
  // expected-error@+1 {{'odyssey.linear' op expects the number of biases (64) to equal N of the weights (32)}}
  %y = odyssey.linear %x, %w bias %b : (tensor<?x64xf16>, tensor<32x64xf16>, tensor<64xf16>) -> tensor<?x32xf16>
  return
}

// -----

func.func @linear_columns(%x: tensor<?x64xf16>, %w: tensor<32x64xf16>) {
  // expected-error@+1 {{'odyssey.linear' op expects the result's columns (48) to equal N of the weights (32)}}
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x48xf16>
  return
}

// -----

func.func @linear_dynamic_k(%x: tensor<?x?xf16>, %w: tensor<32x?xf16>) {
  // expected-error@+1 {{'odyssey.linear' op expects only the leading dimension of operand 0 to be dynamic, got 'tensor<?x?xf16>'}}
  %y = odyssey.linear %x, %w : (tensor<?x?xf16>, tensor<32x?xf16>) -> tensor<?x32xf16>
  return
}

// -----

func.func @quantize_rows(%x: tensor<8x64xf16>) {
  // expected-error@+1 {{'odyssey.quantize' op expects the rows of the values (4) to equal the rows of x (8)}}
  %q, %s = odyssey.quantize %x : tensor<8x64xf16> -> tensor<4x64xi8>, tensor<8xf32>
  return
}

// -----

func.func @quantize_columns(%x: tensor<?x64xf16>) {
  // expected-error@+1 {{'odyssey.quantize' op expects the columns of the values (128) to equal the columns of the row (64)}}
  %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x128xi8>, tensor<?xf32>
  return
}

// -----

func.func @quantize_scales(%x: tensor<8x64xf16>) {
  // expected-error@+1 {{'odyssey.quantize' op expects the number of scales (64) to equal the rows of x (8)}}
  %q, %s = odyssey.quantize %x : tensor<8x64xf16> -> tensor<8x64xi8>, tensor<64xf32>
  return
}

// -----

func.func @quantize_zero_tokens(%x: tensor<0x64xf16>) {
  // expected-error@+1 {{'odyssey.quantize' op expects operand 0 to have no zero size, got 'tensor<0x64xf16>'}}
  %q, %s = odyssey.quantize %x : tensor<0x64xf16> -> tensor<0x64xi8>, tensor<0xf32>
  return
}

// -----

// The largest K whose sums fit 32 bits is accepted.
func.func @matmul_largest_k(%x: tensor<?x132104xi8>, %s: tensor<?xf32>, %w: tensor<32x132104xi4>, %ws: tensor<32xf32>) {
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x132104xi8>, tensor<?xf32>, tensor<32x132104xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

// C4
func.func @matmul_k_too_large(%x: tensor<?x132105xi8>, %s: tensor<?xf32>, %w: tensor<32x132105xi4>, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects K of at most 132104, so that no 32-bit sum overflows, got 132105}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x132105xi8>, tensor<?xf32>, tensor<32x132105xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

// C1
func.func @matmul_k(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<32x128xi4>, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects K of the weights (128) to equal K of x (64)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x128xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

// C2
func.func @matmul_token_scales(%x: tensor<8x64xi8>, %s: tensor<4xf32>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the number of x scales (4) to equal the rows of x (8)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<8x64xi8>, tensor<4xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<8x32xf16>
  return
}

// -----

// C2
func.func @matmul_weight_scales(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<32x64xi4>, %ws: tensor<64xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the number of weight scales (64) to equal N of the weights (32)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<64xf32>) -> tensor<?x32xf16>
  return
}

// -----

// C3
func.func @matmul_rows(%x: tensor<8x64xi8>, %s: tensor<8xf32>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the result's rows (?) to equal the rows of x (8)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<8x64xi8>, tensor<8xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

// C3
func.func @matmul_columns(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the result's columns (64) to equal N of the weights (32)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x64xf16>
  return
}

// -----

// C2
func.func @matmul_bias(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>, %b: tensor<64xf16>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the number of biases (64) to equal N of the weights (32)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws bias %b
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<64xf16>) -> tensor<?x32xf16>
  return
}

// -----

// C6
func.func @matmul_residual_rows(%x: tensor<8x64xi8>, %s: tensor<8xf32>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>, %r: tensor<4x32xf16>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the residual's rows (4) to equal the result's rows (8)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws residual %r
      : (tensor<8x64xi8>, tensor<8xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<4x32xf16>) -> tensor<8x32xf16>
  return
}

// -----

// C6
func.func @matmul_residual_columns(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>, %r: tensor<?x64xf16>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the residual's columns (64) to equal the result's columns (32)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws residual %r
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<?x64xf16>) -> tensor<?x32xf16>
  return
}

// -----

// C11
func.func @matmul_silu_residual(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>, %r: tensor<?x32xf16>) {
  // expected-error@+1 {{'odyssey.matmul' op expects no residual with silu_mul}}
  %y = odyssey.matmul %x scale %s, %w scale %ws residual %r silu_mul
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return
}

// -----

// C11
func.func @matmul_silu_rows(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<66x64xi4>, %ws: tensor<66xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects N of a multiple of 4 with silu_mul, got 66}}
  %y = odyssey.matmul %x scale %s, %w scale %ws silu_mul
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<66x64xi4>, tensor<66xf32>) -> tensor<?x33xf16>
  return
}

// -----

// C3
func.func @matmul_silu_columns(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the result's columns (64) to equal half of N of the weights (32)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws silu_mul
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return
}

// -----

func.func @weight_interleaved() {
  // expected-error@+1 {{'odyssey.weight' op expects interleaved rows to be a multiple of 4, got 66}}
  %w = odyssey.weight "gate", "up" interleaved : tensor<66x64xi4>
  return
}

// -----

// C5
func.func @matmul_encoding(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<32x64xi4, "column_major">, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects weights without encoding or with #fastgemm.packed, got "column_major"}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4, "column_major">, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

func.func @matmul_weight_type(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<32x64xi16>, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op operand #2 must be 2D tensor of 4-bit signless integer or 8-bit signless integer values, but got 'tensor<32x64xi16>'}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi16>, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

func.func @matmul_zero_n(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<0x64xi4>, %ws: tensor<0xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects operand 2 to have no zero size, got 'tensor<0x64xi4>'}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<0x64xi4>, tensor<0xf32>) -> tensor<?x0xf16>
  return
}

// -----

//===----------------------------------------------------------------------===//
// Norms and elementwise operations
//===----------------------------------------------------------------------===//

func.func @norm_weight(%x: tensor<?x64xf16>, %w: tensor<32xf16>) {
  // expected-error@+1 {{'odyssey.rms_norm' op expects the size of the weight (32) to equal the columns of x (64)}}
  %y = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<32xf16>
  return
}

// -----

func.func @norm_zero_size(%x: tensor<?x0xf16>, %w: tensor<0xf16>) {
  // expected-error@+1 {{'odyssey.rms_norm' op expects operand 0 to have no zero size, got 'tensor<?x0xf16>'}}
  %y = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : tensor<?x0xf16>, tensor<0xf16>
  return
}

// -----

func.func @norm_quantize_weight(%x: tensor<?x64xf16>, %w: tensor<32xf16>) {
  // expected-error@+1 {{'odyssey.rms_norm_quantize' op expects the size of the weight (32) to equal the columns of x (64)}}
  %q, %s = odyssey.rms_norm_quantize %x, %w epsilon = 1.0e-5
      : tensor<?x64xf16>, tensor<32xf16> -> tensor<?x64xi8>, tensor<?xf32>
  return
}

// -----

func.func @norm_quantize_columns(%x: tensor<?x64xf16>, %w: tensor<64xf16>) {
  // expected-error@+1 {{'odyssey.rms_norm_quantize' op expects the columns of the values (32) to equal the columns of the row (64)}}
  %q, %s = odyssey.rms_norm_quantize %x, %w epsilon = 1.0e-5
      : tensor<?x64xf16>, tensor<64xf16> -> tensor<?x32xi8>, tensor<?xf32>
  return
}

// -----

func.func @silu_operands(%x: tensor<?x64xf16>) {
  // expected-error@+1 {{'odyssey.silu_mul' op expects gate and up as one or two operands, got 3}}
  %y = odyssey.silu_mul %x, %x, %x
      : (tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
  return
}

// -----

func.func @silu_columns(%gate: tensor<?x64xf16>, %up: tensor<?x32xf16>) {
  // expected-error@+1 {{'odyssey.silu_mul' op expects the columns of an operand (32) to equal those that the result needs (64)}}
  %y = odyssey.silu_mul %gate, %up : (tensor<?x64xf16>, tensor<?x32xf16>) -> tensor<?x64xf16>
  return
}

// -----

func.func @silu_rows(%gate: tensor<8x64xf16>, %up: tensor<4x64xf16>) {
  // expected-error@+1 {{'odyssey.silu_mul' op expects the rows of an operand (4) to equal the rows of the result (8)}}
  %y = odyssey.silu_mul %gate, %up : (tensor<8x64xf16>, tensor<4x64xf16>) -> tensor<8x64xf16>
  return
}

// -----

// One operand holds gate and up: twice the result's columns.
func.func @silu_quantize_columns(%gate_up: tensor<?x64xf16>) {
  // expected-error@+1 {{'odyssey.silu_mul_quantize' op expects the columns of an operand (64) to equal those that the result needs (128)}}
  %q, %s = odyssey.silu_mul_quantize %gate_up : (tensor<?x64xf16>) -> (tensor<?x64xi8>, tensor<?xf32>)
  return
}

// -----

func.func @silu_quantize_scales(%gate_up: tensor<8x64xf16>) {
  // expected-error@+1 {{'odyssey.silu_mul_quantize' op expects the number of scales (32) to equal the rows of the values (8)}}
  %q, %s = odyssey.silu_mul_quantize %gate_up : (tensor<8x64xf16>) -> (tensor<8x32xi8>, tensor<32xf32>)
  return
}

// -----

func.func @add_types(%x: tensor<?x64xf16>, %y: tensor<?x32xf16>) {
  // expected-error@+1 {{'odyssey.add' op requires the same type for all operands and results}}
  %z = "odyssey.add"(%x, %y) : (tensor<?x64xf16>, tensor<?x32xf16>) -> tensor<?x64xf16>
  return
}

// -----

//===----------------------------------------------------------------------===//
// Embedding and selection of rows
//===----------------------------------------------------------------------===//

func.func @embedding_rows(%ids: tensor<?xi32>, %table: tensor<512x64xf16>) {
  // expected-error@+1 {{'odyssey.embedding' op expects the result's rows (8) to equal the number of ids (?)}}
  %x = odyssey.embedding %ids, %table : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<8x64xf16>
  return
}

// -----

func.func @embedding_columns(%ids: tensor<?xi32>, %table: tensor<512x64xf16>) {
  // expected-error@+1 {{'odyssey.embedding' op expects the result's columns (32) to equal the table's (64)}}
  %x = odyssey.embedding %ids, %table : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<?x32xf16>
  return
}

// -----

func.func @store_columns(%x: tensor<?x64xf16>, %state: memref<128x32xf16>) {
  // expected-error@+1 {{'odyssey.store_rows' op expects the columns of the rows (64) to equal those of the state (32)}}
  odyssey.store_rows %x, %state : tensor<?x64xf16>, memref<128x32xf16>
  return
}

// -----

func.func @store_zero_size(%x: tensor<?x0xf16>, %state: memref<128x0xf16>) {
  // expected-error@+1 {{'odyssey.store_rows' op expects operand 0 to have no zero size, got 'tensor<?x0xf16>'}}
  odyssey.store_rows %x, %state : tensor<?x0xf16>, memref<128x0xf16>
  return
}

// -----

func.func @gather_rows(%state: memref<128x64xf16>, %rows: tensor<?xi32>) {
  // expected-error@+1 {{'odyssey.gather_rows' op expects the result's rows (128) to equal the number of indices (?)}}
  %x = odyssey.gather_rows %state, %rows : (memref<128x64xf16>, tensor<?xi32>) -> tensor<128x64xf16>
  return
}

// -----

func.func @gather_columns(%state: memref<128x64xf16>, %rows: tensor<?xi32>) {
  // expected-error@+1 {{'odyssey.gather_rows' op expects the result's columns (32) to equal those of the state (64)}}
  %x = odyssey.gather_rows %state, %rows : (memref<128x64xf16>, tensor<?xi32>) -> tensor<?x32xf16>
  return
}

// -----

func.func @argmax_rows(%x: tensor<8x512xf32>) {
  // expected-error@+1 {{'odyssey.argmax' op expects the number of indices (512) to equal the rows of x (8)}}
  %i = odyssey.argmax %x : tensor<8x512xf32> -> tensor<512xi32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

func.func @cache_halves(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x3x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects a cache of [layers, pages, 2, KV heads, page tokens, head dimension], got 'memref<5x2x3x4x64x10xf16>'}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x3x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @cache_dynamic(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x?x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects only the leading dimension of operand 4 to be dynamic, got 'memref<5x?x2x4x64x10xf16>'}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x?x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @cache_dynamic_layers(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<?x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects a cache of [layers, pages, 2, KV heads, page tokens, head dimension], got 'memref<?x2x2x4x64x10xf16>'}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<?x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @cache_layer(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>) {
  %layer = arith.constant 5 : i32
  // expected-error@+1 {{'odyssey.attention' op expects a layer below 5, got 5}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @head_dimension(%q: tensor<?x96xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x14xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects a head dimension that is a multiple of 8 and at most 256, got 12}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x96xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x14xf16> -> tensor<?x96xf16>
  return
}

// -----

func.func @large_head_dimension(%q: tensor<?x2112xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x266xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects a head dimension that is a multiple of 8 and at most 256, got 264}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x2112xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x266xf16> -> tensor<?x2112xf16>
  return
}

// -----

func.func @page_tokens(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x16x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects pages of 64 tokens, got 16}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x16x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @grouped_heads(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x3x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects the number of heads (8) to be a multiple of the number of KV heads (3)}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x3x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @positions(%q: tensor<8x64xf16>, %p: tensor<4xi32>, %s: tensor<8xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects the size of positions and sequences (4) to equal the rows of the queries (8)}}
  %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<8x64xf16>, tensor<4xi32>, tensor<8xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<8x64xf16>
  return
}

// -----

func.func @query_columns(%q: tensor<?x32xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects the columns of the queries (32) to equal heads x head dimension (64)}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x32xf16>
  return
}

// -----

func.func @attention_columns(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects the result's columns (32) to equal those of the queries (64)}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x32xf16>
  return
}

// -----

func.func @rope_inputs(%q: tensor<?x64xf16>, %k: tensor<?x32xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.rope_append' op expects queries, keys and values as one or three tensors, got 2}}
  %r = odyssey.rope_append %q, %k table %t at %p, %p, %pages cache %kv layer %layer heads 8
      : (tensor<?x64xf16>, tensor<?x32xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @rope_keys(%q: tensor<?x64xf16>, %k: tensor<?x64xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.rope_append' op expects the columns of an input (64) to equal those that the heads need (32)}}
  %r = odyssey.rope_append %q, %k, %k table %t at %p, %p, %pages cache %kv layer %layer heads 8
      : (tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x64xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @rope_table(%qkv: tensor<?x128xf16>, %t: tensor<128x16xf32>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.rope_append' op expects the columns of the table (16) to equal the head dimension (8)}}
  %r = odyssey.rope_append %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 8
      : (tensor<?x128xf16>), tensor<128x16xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @rope_rows(%qkv: tensor<8x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.rope_append' op expects the rows of an input (8) to equal the rows of the queries (?)}}
  %r = odyssey.rope_append %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 8
      : (tensor<8x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @rope_norm(%qkv: tensor<?x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32, %w: tensor<8xf16>, %wide: tensor<16xf16>) {
  // expected-error@+1 {{'odyssey.rope_append' op expects the size of a norm's weight (16) to equal the head dimension (8)}}
  %r = odyssey.rope_append %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 8 norm %w, %wide epsilon = 1.0e-6
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16>, tensor<8xf16>, tensor<16xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @rope_epsilon(%qkv: tensor<?x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.rope_append' op expects the norms of queries and keys and an epsilon, or none of the three}}
  %r = odyssey.rope_append %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 8 {epsilon = 1.0e-6 : f32}
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @attention_rows(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects the result's rows (8) to equal those of the queries (?)}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<8x64xf16>
  return
}

// -----

func.func @no_kv_heads(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x0x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects operand 4 to have no zero size, got 'memref<5x2x2x0x64x10xf16>'}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x0x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @no_heads(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects the number of heads (0) to be a multiple of the number of KV heads (4)}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 0 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

// 256 tokens x 2 heads are the 512 rows of 32 warps.
func.func @largest_tile(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 {tile_tokens = 256 : i32}
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @tile_too_large(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects tile_tokens x heads per KV head to be 1 to 512, got 514}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 {tile_tokens = 257 : i32}
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

func.func @empty_tile(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects tile_tokens x heads per KV head to be 1 to 512, got 0}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 {tile_tokens = 0 : i32}
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

gpu.module @kernels {
  // expected-error@+1 {{'odyssey.kernel' op expects one operation, or a product behind one, and odyssey.return, got 3 operations}}
  odyssey.kernel @two(%a: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
    %0 = odyssey.add %a, %a : tensor<?x64xf16>
    %1 = odyssey.add %0, %a : tensor<?x64xf16>
    odyssey.return %1 : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'odyssey.kernel' op expects one operation, or a product behind one, and odyssey.return, got 4 operations}}
  odyssey.kernel @product_behind_two(%a: tensor<?x64xf16>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>) -> tensor<?x32xf16> attributes {kind = "matmul"} {
    %0 = odyssey.add %a, %a : tensor<?x64xf16>
    %q, %s = odyssey.quantize %0 : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
    %1 = odyssey.matmul %q scale %s, %w scale %ws : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
    odyssey.return %1 : tensor<?x32xf16>
  }
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'odyssey.kernel' op expects one operation, or a product behind one, and odyssey.return, got 1 operations}}
  odyssey.kernel @none(%a: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
    odyssey.return %a : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'odyssey.kernel' op expects odyssey.return to return the kernel's result types}}
  odyssey.kernel @result(%a: tensor<?x64xf16>) -> tensor<?x32xf16> attributes {kind = "add"} {
    %0 = odyssey.add %a, %a : tensor<?x64xf16>
    odyssey.return %0 : tensor<?x64xf16>
  }
}

// -----

// expected-error@+1 {{'odyssey.kernel' op expects parent op 'gpu.module'}}
odyssey.kernel @outside(%a: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
  %0 = odyssey.add %a, %a : tensor<?x64xf16>
  odyssey.return %0 : tensor<?x64xf16>
}

// -----

func.func @unknown_kernel(%a: tensor<?x64xf16>) {
  // expected-error@+1 {{'odyssey.launch' op expects a kernel, got the unknown symbol @kernels::@add}}
  %y = odyssey.launch @kernels::@add(%a) : (tensor<?x64xf16>) -> tensor<?x64xf16>
  return
}

// -----

func.func @launch_types(%a: tensor<?x32xf16>) {
  // expected-error@+1 {{'odyssey.launch' op expects the operand and result types of @kernels::@add}}
  %y = odyssey.launch @kernels::@add(%a, %a) : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return
}

gpu.module @kernels {
  // expected-note@+1 {{the kernel is declared here}}
  odyssey.kernel @add(%a: tensor<?x64xf16>, %b: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
    %0 = odyssey.add %a, %b : tensor<?x64xf16>
    odyssey.return %0 : tensor<?x64xf16>
  }
}

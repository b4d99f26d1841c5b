# From the entries, griddepcontrol instructions and reads of global memory of a
# PTX file, in their order: how many kernels begin as they should. Products may
# start to copy their weights before they wait, and whoever begins with a norm may
# load its weights, which are the second parameter; warps with tasks of their own
# may each have a wait.
/\.entry/ {
  ++kernels
  begun = waited = 0
  product = /matmul/
  norm = /rms_norm/
  delete parameter
}
/griddepcontrol\.launch_dependents/ { if (!begun) ++first; begun = 1 }
/griddepcontrol\.wait/ { if (!waited) ++waits; waited = 1 }
# Which parameter an address is made from.
/ld\.param\.b64/ {
  match($0, /_param_[0-9]+/)
  parameter[register($2)] = substr($0, RSTART + 7, RLENGTH - 7)
}
/add\.s64/ && (register($3) in parameter) {
  parameter[register($2)] = parameter[register($3)]
}
/cp\.async/ {
  begun = 1
  if (!waited && !product) ++early
}
/ld\.global/ {
  begun = 1
  match($0, /\[%rd[0-9]+/)
  address = substr($0, RSTART + 1, RLENGTH - 1)
  weights = (product || norm) && parameter[address] == "1"
  if (!waited && !weights) ++early
}
function register(operand) { sub(/,$/, "", operand); return operand }
END {
  print kernels " kernels"
  print first " let the next one come first"
  print waits " wait for the one before"
  print early + 0 " read anything but weights before"
}

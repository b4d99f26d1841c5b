# From the entries, griddepcontrol instructions and reads of global memory of a
# PTX file, in their order: how many kernels begin as they should. Products may
# start to copy their weights before they wait; warps with tasks of their own may
# each have a wait.
/\.entry/ { ++kernels; begun = waited = 0; product = /matmul/ }
/griddepcontrol\.launch_dependents/ { if (!begun) ++first; begun = 1 }
/griddepcontrol\.wait/ { if (!waited) ++waits; waited = 1 }
/ld\.global|cp\.async/ {
  begun = 1
  if (!waited && !product) ++early
}
END {
  print kernels " kernels"
  print first " let the next one come first"
  print waits " wait for the one before"
  print early + 0 " read anything but weights before"
}

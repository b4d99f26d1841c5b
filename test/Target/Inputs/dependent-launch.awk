# From the entries, griddepcontrol instructions and reads of global memory of a
# PTX file, in their order: how many kernels begin as they should.
/\.entry/ { ++kernels; state = 0 }
/griddepcontrol\.launch_dependents/ { if (state == 0) { ++first; state = 1 } }
/griddepcontrol\.wait/ { if (state == 1) ++waits; state = 2 }
/ld\.global|cp\.async/ { if (state < 2) state = 3 }
END {
  print kernels " kernels"
  print first " let the next one come first"
  print waits " wait ahead of all reads"
}

# odyssey_tablegen(FOLDER source.td (OUTPUT "generator;arguments")...)
#
# Runs mlir-tblgen once per output, into
# <build>/include/odyssey/Dialect/FOLDER/OUTPUT, and adds the outputs to the
# targets on which every compiler library depends.
function(odyssey_tablegen folder source)
  set(outputs)
  set(arguments ${ARGN})
  set(destination "${CMAKE_BINARY_DIR}/include/odyssey/Dialect/${folder}")
  file(MAKE_DIRECTORY "${destination}")
  file(GLOB_RECURSE all_td "${PROJECT_SOURCE_DIR}/dialects/*.td")
  list(LENGTH arguments count)
  math(EXPR last "${count} - 1")
  set(index 0)
  while(index LESS count)
    list(GET arguments ${index} output)
    math(EXPR index "${index} + 1")
    # Generator arguments run up to the next *.inc.
    set(generator)
    while(index LESS count)
      list(GET arguments ${index} argument)
      if(argument MATCHES "\\.inc$")
        break()
      endif()
      list(APPEND generator "${argument}")
      math(EXPR index "${index} + 1")
    endwhile()
    add_custom_command(
      OUTPUT "${destination}/${output}"
      COMMAND mlir-tblgen ${generator} -I "${PROJECT_SOURCE_DIR}/dialects"
              -I ${MLIR_INCLUDE_DIRS} "${source}" --write-if-changed
              -o "${destination}/${output}"
      DEPENDS ${all_td}
      COMMENT "Generating odyssey/Dialect/${folder}/${output}")
    list(APPEND outputs "${destination}/${output}")
  endwhile()
  get_filename_component(stem "${source}" NAME_WE)
  add_custom_target(odyssey-tablegen-${folder}-${stem} DEPENDS ${outputs})
  set_property(GLOBAL APPEND PROPERTY ODYSSEY_TABLEGEN_TARGETS
                              odyssey-tablegen-${folder}-${stem})
endfunction()

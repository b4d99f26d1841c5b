# cmake -DFOLDER=tuning -DOUTPUT=BuiltinTuning.cpp -P EmbedTuning.cmake
#
# Writes a C++ source with the content of every database of FOLDER, so that a
# compiler brings them along wherever it is installed. A line is a literal, since
# compilers bound the length of one.
file(GLOB files RELATIVE "${FOLDER}" "${FOLDER}/*.json")
list(SORT files)
set(source "#include \"BuiltinTuning.h\"\n\nusing namespace odyssey;\n\n")
set(table "")
set(index 0)
foreach(file IN LISTS files)
  file(READ "${FOLDER}/${file}" text)
  string(REGEX REPLACE "([\\\\\"])" "\\\\\\1" text "${text}")
  string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
  string(APPEND source "static constexpr char kFile${index}[] =\n    \"${text}\";\n")
  string(APPEND table "    {\"tuning/${file}\", kFile${index}},\n")
  math(EXPR index "${index} + 1")
endforeach()
if(index EQUAL 0)
  string(APPEND source
    "llvm::ArrayRef<BuiltinTuning> odyssey::builtinTuning() { return {}; }\n")
else()
  string(APPEND source
    "\nstatic constexpr BuiltinTuning kFiles[] = {\n${table}};\n\n"
    "llvm::ArrayRef<BuiltinTuning> odyssey::builtinTuning() { return kFiles; }\n")
endif()
file(WRITE "${OUTPUT}" "${source}")

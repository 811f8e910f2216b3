# Puts a file into a library as bytes: sf_embed(target file symbol) gives `const unsigned char symbol[]` (with a NUL behind its end) and
# `const size_t symbol_size`. A line `<!-- part NAME -->` of the file stands for the file NAME beside it. The array is made again whenever a file
# of that folder changes. Run with -P, this file is the tool that makes it.

if(CMAKE_SCRIPT_MODE_FILE AND INPUT)
  file(READ "${INPUT}" page)
  get_filename_component(folder "${INPUT}" DIRECTORY)
  string(REGEX MATCHALL "<!-- part [a-z_.]+ -->" parts "${page}")
  foreach(part ${parts})
    string(REGEX REPLACE "<!-- part (.*) -->" "\\1" name "${part}")
    file(READ "${folder}/${name}" text)
    string(REPLACE "${part}\n" "${text}" page "${page}")
  endforeach()
  file(WRITE "${OUTPUT}.whole" "${page}")
  file(READ "${OUTPUT}.whole" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  get_filename_component(name "${INPUT}" NAME)
  file(WRITE "${OUTPUT}" "/* Made by CMake from ${name}. */\n#include <stddef.h>\n\nextern const unsigned char ${SYMBOL}[];\n"
    "extern const size_t ${SYMBOL}_size;\nconst unsigned char ${SYMBOL}[] = {\n${bytes}0x00};\n"
    "const size_t ${SYMBOL}_size = sizeof ${SYMBOL} - 1;\n")
  return()
endif()

set(SF_EMBED_TOOL ${CMAKE_CURRENT_LIST_FILE})
function(sf_embed target file symbol)
  set(made ${CMAKE_BINARY_DIR}/generated/${symbol}.c)
  get_filename_component(folder ${CMAKE_SOURCE_DIR}/${file} DIRECTORY)
  file(GLOB parts CONFIGURE_DEPENDS ${folder}/*)
  add_custom_command(OUTPUT ${made}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/${file} -DOUTPUT=${made} -DSYMBOL=${symbol} -P ${SF_EMBED_TOOL}
    DEPENDS ${parts} ${SF_EMBED_TOOL} VERBATIM)
  target_sources(${target} PRIVATE ${made})
endfunction()

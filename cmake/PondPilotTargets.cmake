# Every target of the project is made by one of these, so that flags stand in one place.

add_library(pondpilot_flags INTERFACE)
target_include_directories(pondpilot_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(pondpilot_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  -Werror -fno-omit-frame-pointer -fstack-protector-strong)
target_link_options(pondpilot_flags INTERFACE -fuse-ld=mold)
if(PONDPILOT_SANITIZE)
  target_compile_options(pondpilot_flags INTERFACE -fsanitize=${PONDPILOT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(pondpilot_flags INTERFACE -fsanitize=${PONDPILOT_SANITIZE})
  # GCC's own flow warnings misfire on instrumented code.
  target_compile_options(pondpilot_flags INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-stringop-overflow;-Wno-array-bounds>)
else()
  target_compile_definitions(pondpilot_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=3>)
endif()

# pondpilot_library(NAME SOURCES a.cc b.cc DEPS x y)
function(pondpilot_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC pondpilot_flags ${arg_DEPS})
endfunction()

# pondpilot_test(NAME SOURCES a_test.cc DEPS x [LOCK name]): one GoogleTest program, each TEST a ctest entry. No two tests
# with the same LOCK run at the same time.
function(pondpilot_test name)
  cmake_parse_arguments(arg "" "LOCK" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE pondpilot_flags ${arg_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE PONDPILOT_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  set(properties TIMEOUT 120)
  if(arg_LOCK)
    list(APPEND properties RESOURCE_LOCK ${arg_LOCK})
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
endfunction()

# pondpilot_program(NAME SOURCES main.cc DEPS x)
function(pondpilot_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE pondpilot_flags ${arg_DEPS})
endfunction()

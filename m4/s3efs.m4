# SPDX-License-Identifier: Apache-2.0
# What configure asks that autoconf has no macro for.

# S3EFS_LIBRARY(NAME, pkg-config module, Debian package)
# A missing library is named together with the package that holds it.
AC_DEFUN([S3EFS_LIBRARY], [
  PKG_CHECK_MODULES([$1], [$2], [], [
    AC_MSG_ERROR([$2 was not found. On Debian or Ubuntu: apt-get install $3])])
])

# S3EFS_FLAG_ADD(VARIABLE, flag...): adds each flag that the compiler takes.
AC_DEFUN([S3EFS_FLAG_ADD], [
  for s3efs_flag in $2; do
    AC_MSG_CHECKING([whether $CC takes $s3efs_flag])
    s3efs_saved="$CFLAGS"
    CFLAGS="$CFLAGS -Werror $s3efs_flag"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes]); $1="$$1 $s3efs_flag"], [AC_MSG_RESULT([no])])
    CFLAGS="$s3efs_saved"
  done
])

AC_DEFUN([S3EFS_CLEANUP_ATTRIBUTE], [
  AC_MSG_CHECKING([whether __attribute__((cleanup)) runs])
  AC_RUN_IFELSE([AC_LANG_PROGRAM([[
    static int ran;
    static void f(int *p) { ran = *p; }
  ]], [[
    { __attribute__((cleanup(f))) int x = 7; (void)x; }
    return ran == 7 ? 0 : 1;
  ]])], [AC_MSG_RESULT([yes])],
  [AC_MSG_RESULT([no]); AC_MSG_ERROR([a compiler with the cleanup attribute (gcc, clang) is needed])],
  [AC_MSG_RESULT([not run when cross-compiling])])
])

AC_DEFUN([S3EFS_WARNINGS], [
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors (for CI)])], [], [enable_werror=no])
  WARN_CFLAGS=
  S3EFS_FLAG_ADD([WARN_CFLAGS], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wmissing-declarations -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wvla -Wswitch-enum -Wimplicit-fallthrough -Wconversion -Wno-sign-conversion -Wlogical-op -Wduplicated-branches -Wduplicated-cond -Wold-style-definition -Wcast-qual -Wdate-time])
  if test "$enable_werror" = yes; then WARN_CFLAGS="$WARN_CFLAGS -Werror"; fi
  AC_SUBST([WARN_CFLAGS])
])

AC_DEFUN([S3EFS_HARDENING], [
  AC_ARG_ENABLE([hardening], [AS_HELP_STRING([--disable-hardening], [no hardening flags])], [], [enable_hardening=yes])
  HARDEN_CFLAGS= HARDEN_LDFLAGS=
  if test "$enable_hardening" = yes; then
    S3EFS_FLAG_ADD([HARDEN_CFLAGS], [-fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero -fPIE])
    case "$CFLAGS" in
      *-O0*) ;;
      *) S3EFS_FLAG_ADD([HARDEN_CFLAGS], ["-U_FORTIFY_SOURCE"])
         HARDEN_CFLAGS="$HARDEN_CFLAGS -D_FORTIFY_SOURCE=3" ;;
    esac
    S3EFS_FLAG_ADD([HARDEN_LDFLAGS], [-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed])
  fi
])

# --enable-sanitizers[=address,undefined|thread], --enable-coverage,
# --enable-fault-injection, --enable-fuzzers, --enable-debug
AC_DEFUN([S3EFS_BUILD_KINDS], [
  AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers@<:@=LIST@:>@],
    [compiler sanitizers, default list address,undefined])], [], [enable_sanitizers=default])
  AC_ARG_ENABLE([fuzzers], [AS_HELP_STRING([--enable-fuzzers],
    [libFuzzer programs (clang), with --enable-sanitizers unless that is given])], [], [enable_fuzzers=no])
  if test "$enable_sanitizers" = default; then enable_sanitizers="$enable_fuzzers"; fi
  if test "$enable_sanitizers" = yes; then enable_sanitizers=address,undefined; fi
  KIND_CFLAGS= KIND_LDFLAGS=
  if test "$enable_sanitizers" != no; then
    KIND_CFLAGS="-fsanitize=$enable_sanitizers -fno-omit-frame-pointer -fno-sanitize-recover=undefined"
    KIND_LDFLAGS="-fsanitize=$enable_sanitizers"
    HARDEN_CFLAGS=$(echo "$HARDEN_CFLAGS" | $SED 's/-D_FORTIFY_SOURCE=3//')
  fi
  AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [gcov instrumentation])], [], [enable_coverage=no])
  if test "$enable_coverage" = yes; then
    KIND_CFLAGS="$KIND_CFLAGS --coverage -O0"; KIND_LDFLAGS="$KIND_LDFLAGS --coverage"
    HARDEN_CFLAGS=$(echo "$HARDEN_CFLAGS" | $SED 's/-D_FORTIFY_SOURCE=3//')
  fi
  AC_ARG_ENABLE([debug], [AS_HELP_STRING([--enable-debug], [check lock ranks and invariants at run time])], [], [enable_debug=no])
  if test "$enable_debug" = yes; then
    AC_DEFINE([S3EFS_DEBUG], [1], [Check lock ranks and invariants.])
  fi
  AC_ARG_ENABLE([fault-injection], [AS_HELP_STRING([--enable-fault-injection],
    [fault decorator, disk faults and named crash points (for tests only)])], [], [enable_fault_injection=no])
  if test "$enable_fault_injection" = yes; then
    AC_DEFINE([S3EFS_FAULTS], [1], [Fault injection is built in.])
  fi
  AM_CONDITIONAL([FAULTS], [test "$enable_fault_injection" = yes])
  AM_CONDITIONAL([FUZZERS], [test "$enable_fuzzers" = yes])
  if test "$enable_fuzzers" = yes; then
    S3EFS_FLAG_ADD([FUZZ_FLAG], [-fsanitize=fuzzer-no-link])
    if test -z "$FUZZ_FLAG"; then
      AC_MSG_ERROR([--enable-fuzzers needs clang: configure CC=clang --enable-fuzzers])
    fi
    KIND_CFLAGS="$KIND_CFLAGS -fsanitize=fuzzer-no-link"
  fi
  AC_SUBST([HARDEN_CFLAGS]) AC_SUBST([HARDEN_LDFLAGS])
  AC_SUBST([KIND_CFLAGS]) AC_SUBST([KIND_LDFLAGS])
])

# libfuse grows; what is there is found by trying, not by its version.
AC_DEFUN([S3EFS_FUSE_FEATURES], [
  s3efs_saved_cflags="$CFLAGS"; s3efs_saved_libs="$LIBS"
  CFLAGS="$CFLAGS $FUSE_CFLAGS"; LIBS="$LIBS $FUSE_LIBS"
  AC_CHECK_DECLS([FUSE_CAP_PASSTHROUGH, FUSE_CAP_PARALLEL_DIROPS], [], [], [[
    #define FUSE_USE_VERSION 314
    #include <fuse_lowlevel.h>]])
  AC_CHECK_FUNCS([fuse_passthrough_open fuse_session_custom_io])
  CFLAGS="$s3efs_saved_cflags"; LIBS="$s3efs_saved_libs"
])

# Expat 2.9 puts positions of 64 bits in place of those of a long.
AC_DEFUN([S3EFS_EXPAT_FEATURES], [
  s3efs_saved_cflags="$CFLAGS"
  CFLAGS="$CFLAGS $EXPAT_CFLAGS"
  AC_CHECK_DECLS([XML_GetCurrentByteIndex64], [], [], [[#include <expat.h>]])
  CFLAGS="$s3efs_saved_cflags"
])

# SPDX-License-Identifier: Apache-2.0
# The scripted HTTP server: LDADD libtesthttpd.a (and -lssl $(CRYPTO_LIBS) for its TLS half).
check_LIBRARIES += libtesthttpd.a
libtesthttpd_a_SOURCES = %D%/httpd.c %D%/httpd.h %D%/httpd_tls.c

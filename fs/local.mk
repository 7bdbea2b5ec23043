# SPDX-License-Identifier: Apache-2.0
# What of the program itself the tests link: options and mount points.
noinst_LIBRARIES += libprog.a
libprog_a_SOURCES = %D%/config.c %D%/config_access.c %D%/options.h %D%/mountpoint.c %D%/mountpoint.h %D%/options.c %D%/options.def \
	%D%/usage.c
libprog_a_SOURCES += %D%/memplan.c
libprog_a_SOURCES += %D%/memplan.h

bin_PROGRAMS += s3efs
s3efs_SOURCES = %D%/cmd.h %D%/cmd_drain.c %D%/cmd_mount.c %D%/cmd_status.c %D%/cmd_umount.c %D%/compose.c %D%/compose.h \
	%D%/compose_store.c %D%/daemon.c %D%/daemon.h %D%/json.h %D%/main.c %D%/run.c %D%/run.h %D%/status.c %D%/status.h
s3efs_SOURCES += %D%/cmd_fsck.c
s3efs_SOURCES += %D%/cmd_compare.c
s3efs_SOURCES += %D%/privileges.c
s3efs_SOURCES += %D%/privileges.h
s3efs_SOURCES += %D%/holder.c %D%/holder.h
s3efs_SOURCES += %D%/hold.c
s3efs_SOURCES += %D%/deaths.c %D%/deaths.h
s3efs_SOURCES += %D%/programs.c %D%/programs.h
s3efs_SOURCES += %D%/ending.c
s3efs_SOURCES += %D%/running.h
s3efs_SOURCES += %D%/verbs.c
s3efs_SOURCES += %D%/handover.c
s3efs_SOURCES += %D%/cmd_upgrade.c
s3efs_SOURCES += %D%/fsck_report.c
s3efs_SOURCES += %D%/fsck_report.h
s3efs_LDADD = libprog.a libcompare.a libcontrol.a libfront.a libvfs.a libcheck.a libupload.a libdata.a libcoord.a libcache.a libs3.a libaws.a \
	libhttp.a libstore.a libbase.a $(FUSE_LIBS) $(CURL_LIBS) $(LMDB_LIBS) $(EXPAT_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS) $(ZLIB_LIBS)
EXTRA_DIST += %D%/README.md

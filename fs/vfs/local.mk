# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libvfs.a
libvfs_a_SOURCES = %D%/asking.c %D%/attr.c %D%/commit.c %D%/create.c %D%/file.c %D%/follow.c %D%/handle.c %D%/inode.c \
	%D%/internal.h %D%/listing.c %D%/lookup.c %D%/merge.c %D%/mime.c %D%/mime.h %D%/names.c %D%/objattr.c %D%/objattr.h \
	%D%/proc.c %D%/readdir.c %D%/remove.c %D%/rename.c %D%/rename.h %D%/rename_dir.c %D%/subdirs.c %D%/validate.h %D%/vfs.c \
	include/vfs/vfs.h
libvfs_a_SOURCES += %D%/again.c
libvfs_a_SOURCES += %D%/contest.c
libvfs_a_SOURCES += %D%/doubt.c
libvfs_a_SOURCES += %D%/outroom.c
libvfs_a_SOURCES += %D%/listroom.c
libvfs_a_SOURCES += %D%/listroom.h
libvfs_a_SOURCES += %D%/snapshot.c
libvfs_a_SOURCES += %D%/edits.c
libvfs_a_SOURCES += %D%/link.c %D%/link.h %D%/link_commit.c %D%/link_group.c
libvfs_a_SOURCES += %D%/link_rename.c %D%/link_tree.c
libvfs_a_SOURCES += %D%/xattr.c
libvfs_a_SOURCES += %D%/xattr_code.c
libvfs_a_SOURCES += %D%/xattr_code.h
libvfs_a_SOURCES += %D%/creator.c
libvfs_a_SOURCES += %D%/creator.h
libvfs_a_SOURCES += %D%/winner.c %D%/writeback.c
libvfs_a_SOURCES += %D%/access.c
libvfs_a_SOURCES += %D%/access.h
libvfs_a_SOURCES += %D%/range.c
libvfs_a_SOURCES += %D%/copying.c %D%/hiding.c %D%/intents.c %D%/intents.h %D%/late.c %D%/mend.c %D%/moved.c %D%/moving.c
libvfs_a_SOURCES += %D%/copy.c
libvfs_a_SOURCES += %D%/strict.c
libvfs_a_SOURCES += %D%/locks.c %D%/locks.h %D%/lockrules.c %D%/lockshare.c %D%/locktable.c %D%/lockwait.c
libvfs_a_SOURCES += %D%/enforce.c
libvfs_a_SOURCES += %D%/theirs.c
libvfs_a_SOURCES += %D%/theirs.h
libvfs_a_SOURCES += %D%/shadow.c
libvfs_a_SOURCES += %D%/source.c
libvfs_a_SOURCES += %D%/nameslock.c
libvfs_a_SOURCES += %D%/marker.c
EXTRA_DIST += %D%/README.md
libvfs_a_SOURCES += %D%/outrec.c
libvfs_a_SOURCES += %D%/outrec.h
libvfs_a_SOURCES += %D%/keep.c %D%/keep.h %D%/keepdata.c %D%/keepwrite.c %D%/keepwrite.h %D%/keeprec.c %D%/keeprec.h %D%/takeover.c
libvfs_a_SOURCES += %D%/outbox.c
libvfs_a_SOURCES += %D%/outbox.h
libvfs_a_SOURCES += %D%/replay.c
libvfs_a_SOURCES += %D%/sending.c
libvfs_a_SOURCES += %D%/unsent.c
libvfs_a_SOURCES += %D%/idle.c
libvfs_a_SOURCES += %D%/idle.h
libvfs_a_SOURCES += %D%/revert.c

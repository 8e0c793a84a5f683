/* Where the process is: namespaces, mounts, cgroups, devices, open files. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Of the kernel's files that say something about a process; each is a string, or {"errno": …}. */
static const char *const files[] = {
	"/proc/self/attr/current",
	"/proc/self/attr/apparmor/current",
	"/proc/self/cgroup",
	"/proc/self/gid_map",
	"/proc/self/mountinfo",
	"/proc/self/oom_score_adj",
	"/proc/self/setgroups",
	"/proc/self/status",
	"/proc/self/timens_offsets",
	"/proc/self/uid_map",
};

void json_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		json_error(errno);
		return;
	}
	size_t used = 0, room = 1 << 20;
	char *text = malloc(room);
	ssize_t got = text ? 0 : -1;
	while (text && used < room && (got = read(fd, text + used, room - used)) > 0)
		used += (size_t)got;
	if (got < 0)
		json_error(errno);
	else
		json_text(text, used);
	free(text);
	close(fd);
}

static const char *type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "directory";
	case S_IFLNK: return "link";
	case S_IFCHR: return "char";
	case S_IFBLK: return "block";
	case S_IFIFO: return "fifo";
	default: return "socket";
	}
}

void json_stat(const char *path)
{
	struct stat seen;
	char target[PATH_MAX];
	if (lstat(path, &seen)) {
		json_error(errno);
		return;
	}
	json_open('{');
	json_key("type");
	json_string(type(seen.st_mode));
	json_key("mode");
	json_number(seen.st_mode & 07777);
	json_key("uid");
	json_number(seen.st_uid);
	json_key("gid");
	json_number(seen.st_gid);
	json_key("size");
	json_number(seen.st_size);
	json_key("device");
	json_size(seen.st_dev);
	json_key("inode");
	json_size(seen.st_ino);
	if (S_ISCHR(seen.st_mode) || S_ISBLK(seen.st_mode)) {
		json_key("major");
		json_number(major(seen.st_rdev));
		json_key("minor");
		json_number(minor(seen.st_rdev));
	}
	if (S_ISLNK(seen.st_mode)) {
		ssize_t length = readlink(path, target, sizeof target);
		json_key("target");
		json_text(target, length < 0 ? 0 : (size_t)length);
	}
	json_close('}');
}

static void links(const char *key, const char *folder)
{
	json_key(key);
	DIR *opened = opendir(folder);
	if (!opened) {
		json_error(errno);
		return;
	}
	json_open('{');
	for (struct dirent *entry; (entry = readdir(opened));) {
		char target[PATH_MAX];
		ssize_t length = readlinkat(dirfd(opened), entry->d_name, target, sizeof target);
		if (length < 0)
			continue;
		json_key(entry->d_name);
		json_text(target, (size_t)length);
	}
	json_close('}');
	closedir(opened);
}

/* Without the help of /proc, and before anything of ours is open. */
static void descriptors(void)
{
	json_key("fds");
	json_open('{');
	for (int fd = 0; fd < 1024; fd++) {
		char name[32], target[PATH_MAX];
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(name, sizeof name, "%d", fd);
		json_key(name);
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		ssize_t length = readlink(name, target, sizeof target);
		json_text(target, length < 0 ? 0 : (size_t)length);
	}
	json_close('}');
}

static void devices(void)
{
	json_key("dev");
	DIR *opened = opendir("/dev");
	if (!opened) {
		json_error(errno);
		return;
	}
	json_open('{');
	for (struct dirent *entry; (entry = readdir(opened));) {
		char path[PATH_MAX];
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(path, sizeof path, "/dev/%s", entry->d_name);
		json_key(entry->d_name);
		json_stat(path);
	}
	json_close('}');
	closedir(opened);
}

void report_places(void)
{
	descriptors();
	links("namespaces", "/proc/self/ns");
	devices();
	json_key("files");
	json_open('{');
	for (size_t n = 0; n < sizeof files / sizeof *files; n++) {
		json_key(files[n]);
		json_file(files[n]);
	}
	json_close('}');
}

/* Who the process is: arguments, environment, ids, capabilities, and what it may not do. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static void strings(const char *key, char **list)
{
	json_key(key);
	json_open('[');
	for (; list && *list; list++)
		json_string(*list);
	json_close(']');
}

static void triple(const char *key, unsigned real, unsigned effective, unsigned saved)
{
	json_key(key);
	json_open('[');
	json_number(real);
	json_number(effective);
	json_number(saved);
	json_close(']');
}

static void ids(void)
{
	uid_t uid[3];
	gid_t gid[3], groups[1024];
	if (getresuid(&uid[0], &uid[1], &uid[2]) == 0)
		triple("uid", uid[0], uid[1], uid[2]);
	if (getresgid(&gid[0], &gid[1], &gid[2]) == 0)
		triple("gid", gid[0], gid[1], gid[2]);
	int count = getgroups(1024, groups);
	json_key("groups");
	json_open('[');
	for (int n = 0; n < count; n++)
		json_number(groups[n]);
	json_close(']');
	mode_t mask = umask(0);
	umask(mask);
	json_key("umask");
	json_number(mask);
	json_key("pid");
	json_number(getpid());
	json_key("ppid");
	json_number(getppid());
	json_key("pgid");
	json_number(getpgrp());
	json_key("sid");
	json_number(getsid(0));
}

/* Asked of the kernel and not of /proc, which need not be mounted. */
static void capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	memset(data, 0, sizeof data);
	json_key("capabilities");
	json_open('{');
	if (syscall(SYS_capget, &header, data) == 0) {
		json_key("effective");
		json_size(data[0].effective | (unsigned long long)data[1].effective << 32);
		json_key("permitted");
		json_size(data[0].permitted | (unsigned long long)data[1].permitted << 32);
		json_key("inheritable");
		json_size(data[0].inheritable | (unsigned long long)data[1].inheritable << 32);
	}
	unsigned long long bounding = 0, ambient = 0;
	for (int n = 0; n < 64; n++) {
		if (prctl(PR_CAPBSET_READ, n, 0, 0, 0) == 1)
			bounding |= 1ULL << n;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, n, 0, 0) == 1)
			ambient |= 1ULL << n;
	}
	json_key("bounding");
	json_size(bounding);
	json_key("ambient");
	json_size(ambient);
	json_close('}');
	json_key("noNewPrivileges");
	json_number(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	json_key("securebits");
	json_number(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	json_key("seccomp");
	json_number(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	json_key("dumpable");
	json_number(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	int death = 0;
	prctl(PR_GET_PDEATHSIG, &death);
	json_key("parentDeathSignal");
	json_number(death);
}

static void signals(void)
{
	sigset_t mask;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	json_key("blockedSignals");
	json_open('[');
	for (int n = 1; n < NSIG; n++)
		if (sigismember(&mask, n) == 1)
			json_number(n);
	json_close(']');
	json_key("ignoredSignals");
	json_open('[');
	for (int n = 1; n < NSIG; n++) {
		struct sigaction action;
		if (sigaction(n, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			json_number(n);
	}
	json_close(']');
}

static void terminals(void)
{
	json_key("terminals");
	json_open('[');
	for (int fd = 0; fd < 3; fd++) {
		struct winsize size;
		char name[PATH_MAX];
		json_open('{');
		json_key("isatty");
		json_bool(isatty(fd));
		if (isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0) {
			json_key("height");
			json_number(size.ws_row);
			json_key("width");
			json_number(size.ws_col);
		}
		if (isatty(fd) && ttyname_r(fd, name, sizeof name) == 0) {
			json_key("name");
			json_string(name);
		}
		json_close('}');
	}
	json_close(']');
	json_key("foreground"); /* process group of the controlling terminal, -1 without one */
	json_number(tcgetpgrp(0));
}

void report_process(char **argv)
{
	char cwd[PATH_MAX];
	struct utsname names;
	strings("args", argv);
	strings("env", environ);
	json_key("cwd");
	/* Of the system call: the library's function refuses what lies outside of the root. */
	if (syscall(SYS_getcwd, cwd, sizeof cwd) > 0)
		json_string(cwd);
	else
		json_error(errno);
	ids();
	capabilities();
	signals();
	terminals();
	uname(&names);
	json_key("hostname");
	json_string(names.nodename);
	json_key("domainname");
	json_string(names.domainname);
	json_key("machine");
	json_string(names.machine);
}

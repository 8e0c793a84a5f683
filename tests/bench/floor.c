/* The kernel's floor: the namespaces, mounts, pivot_root, exec and teardown that the small config asks for, and nothing
 * else: no config, no cgroup, no state, no checks.  What a runtime takes beyond this is its own.
 *
 * usage: floor ROOTFS PROGRAM
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

struct args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static void must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		_exit(1);
	}
}

static void put(const char *type, const char *target, unsigned long flags, const char *data)
{
	must(mkdir(target, 0755) && access(target, F_OK), target);
	must(mount(type, target, type, flags, data), target);
}

static void container(const char *rootfs, char *program)
{
	static const struct {
		const char *name;
		unsigned minor;
	} nodes[] = {{"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9}};
	static const char *const hidden[] = {"proc/kcore", "proc/keys", "proc/timer_list"};
	static const char *const readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};

	must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "slave");
	must(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), "bind");
	must(chdir(rootfs), "chdir");
	put("proc", "proc", 0, NULL);
	put("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	put("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	put("tmpfs", "dev/shm", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k");
	put("mqueue", "dev/mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL);
	put("sysfs", "sys", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL);
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		must(mknod(nodes[i].name, S_IFCHR | 0666, makedev(1, nodes[i].minor)), nodes[i].name);
	must(symlink("/proc/self/fd", "dev/fd"), "symlink");
	must(symlink("pts/ptmx", "dev/ptmx"), "symlink");
	must(sethostname("floor", 5), "sethostname");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		mount("dev/null", hidden[i], NULL, MS_BIND, NULL); /* absent on some kernels */
	for (size_t i = 0; i < sizeof readonly / sizeof *readonly; i++)
		if (!mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL))
			must(mount(NULL, readonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), readonly[i]);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	char *const argv[] = {program, NULL}, *const env[] = {NULL};
	must(execve(program, argv, env), program);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP,
		.exit_signal = SIGCHLD,
	};
	long pid = syscall(SYS_clone3, &args, sizeof args);
	must(pid, "clone3");
	if (pid == 0)
		container(argv[1], argv[2]);
	int status = 1;
	must(waitpid((pid_t)pid, &status, 0), "waitpid");
	return status != 0;
}

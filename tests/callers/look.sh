#!/bin/busybox sh
# Prints what a process sees of its container, in sections that observation.py reads.  It is run by
# busybox inside of the container, and does nothing but read.
for tool in cat ls id hostname stat ip sysctl; do alias "$tool=/bin/busybox $tool"; done
section() { echo "== $1"; }
section mountinfo; cat /proc/self/mountinfo
section status; cat /proc/self/status
section cgroup; cat /proc/self/cgroup
section limits; cat /proc/self/limits
section id; id 2>&1
section umask; umask
section cwd; cat /dev/null; pwd
section env; cat /proc/$$/environ | /bin/busybox tr '\0' '\n'
section cmdline; cat /proc/1/cmdline 2>&1 | /bin/busybox tr '\0' ' '; echo
section fds; ls -l /proc/$$/fd
section hostname; hostname
section domainname; cat /proc/sys/kernel/domainname
section oom; cat /proc/self/oom_score_adj
section personality; cat /proc/self/personality 2>&1
section session; read -r _ _ _ _ group session tty _ </proc/$$/stat; echo "$$ $group $session $tty"
section namespaces; for ns in /proc/$$/ns/*; do echo "${ns##*/} $(/bin/busybox readlink "$ns")"; done
section uid_map; cat /proc/self/uid_map; cat /proc/self/gid_map; cat /proc/self/setgroups
section dev; cd /dev; for entry in * */*; do stat -c '%n %F %a %u:%g %t:%T' "$entry"; done 2>/dev/null; cd /
section links; for link in /dev/*; do [ -L "$link" ] && echo "$link $(/bin/busybox readlink "$link")"; done
section net; cat /proc/net/dev | /bin/busybox cut -d: -f1; cat /proc/net/route | /bin/busybox cut -f1,2,3,8
section lo; ip -o addr show lo 2>&1 | /bin/busybox cut -d' ' -f1-7
section cgroup-files
for file in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes \
  memory/memory.oom_control memory/memory.swappiness pids/pids.max cpu/cpu.shares cpu/cpu.cfs_quota_us \
  cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems devices/devices.list
do [ -r "/sys/fs/cgroup/$file" ] && while read -r line; do echo "$file $line"; done <"/sys/fs/cgroup/$file"; done
section writable; for path in / /tmp /etc /dev /dev/shm /proc/sys/kernel /sys/fs/cgroup /sys/fs/cgroup/memory /run /srv
do if (: >"$path/.look") 2>/dev/null; then /bin/busybox rm "$path/.look"; echo "$path"; fi; done
section hidden
for path in /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats /proc/sched_debug /proc/acpi /proc/scsi \
  /sys/firmware /proc/asound /sys/dev/block /sys/fs/selinux
do echo "$path $(stat -c '%F %a %t:%T' "$path" 2>&1) $(ls -A "$path" 2>/dev/null | /bin/busybox wc -l)"; done
section sysctl
for name in net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/core/somaxconn kernel/shmmax \
  kernel/msgmax kernel/sem fs/mqueue/msg_max net/ipv4/ip_forward
do echo "$name $(cat "/proc/sys/$name" 2>&1)"; done
section files; for path in /tmp /dev/shm /run /srv /m /var/tmp /etc/hosts /etc/hostname /etc/resolv.conf /run/.containerenv
do stat -c '%n %F %a %u:%g' "$path" 2>&1; done
section root; ls -A /

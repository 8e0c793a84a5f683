"""The cgroup manager systemd: a container's cgroup is that of a transient unit, which systemd makes.

runc docs/systemd.md has the contract that engines rely on; systemd CGROUP_DELEGATION.md says who may write where.
What is here plans: the unit's name and place, its properties, the order.  The D-Bus is ``pyrunc.host.systemd``'s.
"""

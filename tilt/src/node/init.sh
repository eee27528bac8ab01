# First process of the node, in namespaces of its own (mount, network, process, host name, IPC).
# Arguments: the node's state folder (not below /run), its host name, the resolv.conf it reads, the
# folder of volumes and the path at which the provisioner of volumes names it.
# What it mounts and what runs beneath it ends with it; nothing of it is seen by the host.
set -eu
state=$1 name=$2 resolver=$3 volumes=$4 provisioned=$5

mount --make-rshared /
resolv=$(readlink -m /etc/resolv.conf)
mount -t tmpfs -o mode=755 tmpfs /run
private=/run/mlp-node
mkdir -p /run/lock "$private/state" "${resolv%/*}"
mount --bind "$state" "$private/state"
mkdir -p "$provisioned"
mount --bind "$volumes" "$provisioned"
[ -e "$resolv" ] || : > "$resolv"
mount --bind "$resolver" "$resolv"

# kubelet writes these settings, which belong to the whole machine, unless it finds them as it
# wants them.
settle() {
    [ -e "/proc/sys/$1" ] || return 0
    file=$private/$(echo "$1" | tr / -)
    echo "$2" > "$file"
    mount --bind "$file" "/proc/sys/$1"
}
settle vm/overcommit_memory 1
settle vm/panic_on_oom 0
settle kernel/panic 10
settle kernel/panic_on_oops 1
settle kernel/keys/root_maxkeys 1000000
settle kernel/keys/root_maxbytes 25000000

# Folders in which kubelet, containerd and the CNI plugins write without being asked: reads see the
# host, writes stay here.
for folder in /opt /var/lib /var/log; do
    layer=$private/overlay$folder
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay -o "lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work" overlay "$folder"
done
# The state folder may lie beneath one of them, and what must last is kept in it.
mount --bind "$private/state" "$state"
for kept in lib/kubelet lib/containerd log/pods; do
    mkdir -p "$state/var/$kept" "/var/$kept"
    mount --bind "$state/var/$kept" "/var/$kept"
done

hostname "$name"
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
# A packet comes from the link that its sender's address leads to, or not at all: policies judge by addresses.
echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 1 > /proc/sys/net/ipv4/conf/default/rp_filter
# A pod that is refused by policy is told so each time, not once a second: waiting looks like a fault.
echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
: > "$private/ready"

# As process 1 it collects every orphan of the node, and takes all down with it.
trap 'exit 0' TERM
sleep infinity &
wait

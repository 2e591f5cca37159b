# The first process of the node of a cluster. It separates the mounts of the node from this machine, and holds the namespaces.
# Usage: sh -c THIS node FOLDER PROGRAM, with the folder of the cluster and the program that holds the namespaces
set -eu
folder=$1

# Within the node, mounts are shared, as the kubelet and containerd require.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir /run/lock /run/netns

# The paths to which Kubernetes and containerd write, and which cannot be configured.
for path in /var/lib/containerd /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers; do
  mkdir -p "$path" "$folder/node$path"
  mount --bind "$folder/node$path" "$path"
done

# The kubelet requires these settings, which apply to the whole machine. A file with the required value is mounted over each.
mkdir /run/settings
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=/proc/sys/${setting%=*}
  [ -e "$file" ] || continue
  shown=/run/settings/$(basename "$file")
  echo "${setting#*=}" >"$shown"
  mount --bind "$shown" "$file"
done

echo 1 >/proc/sys/net/ipv4/ip_forward
touch "$folder/node/ready"
exec "$2"

# The container's command: an ansible-runner directory from the Job's own variables, then the one play. A failure is told by the
# name of its task and host only.
set -eu
umask 077
cd /runner
mkdir -p inventory env project
printf '%s' "$INVENTORY" > inventory/hosts.yml
printf '%s' "$KNOWN_HOSTS" > known_hosts
printf '%s' "$PLAYBOOK" > project/federation.yml
for name in member master member_bastion master_bastion; do
    if [ -f "/keys/$name/sshPrivateKey" ]; then
        cp "/keys/$name/sshPrivateKey" "env/${name}_key"
    fi
done
if ! ansible-runner run . --playbook federation.yml --ident federation; then
    # The last that failed: what is put back afterwards does not.
    task=$(awk '/^TASK/ {task = $0} /^fatal:/ {failed = task} END {print failed}' artifacts/federation/stdout | tr -d '*' || true)
    hosts=$(sed -n 's/^fatal: \[\([^] ]*\)\].*/\1/p' artifacts/federation/stdout | sort -u | tr '\n' ' ' || true)
    printf 'federation.yml failed in %s%s' "${task:-its start}" "${hosts:+ on $hosts}" > /dev/termination-log
    exit 1
fi

# The container's command: an ansible-runner directory from the Job's own variables, then the playbooks in their order.
# Everything that they need is in the image. A failure is told by the name of its task and host only: one-deploy's output
# may hold passwords.
set -eu
umask 077
cd /runner
mkdir -p inventory env project
printf '%s' "$INVENTORY" > inventory/hosts.yml
printf '%s' "$KNOWN_HOSTS" > known_hosts
printf '%s' "$PREPARE" > project/prepare.yml
printf '%s' "$CERTIFICATE" > project/certificate.yml
printf '%s' "$PUBLISH" > project/publish.yml
printf '%s' "$FIREWALL" > project/firewall.yml
cp /credentials/sshPrivateKey env/ssh_key
if [ -f /bastion/sshPrivateKey ]; then
    cp /bastion/sshPrivateKey env/bastion_key
fi
if [ -n "${AUTHORITIES:-}" ]; then
    { cat /etc/ssl/certs/ca-certificates.crt; printf '\n%s\n' "$AUTHORITIES"; } > authorities.pem
    export SSL_CERT_FILE=/runner/authorities.pem REQUESTS_CA_BUNDLE=/runner/authorities.pem
fi
for playbook in $PLAYBOOKS; do
    name=$(basename "$playbook" .yml)
    if ! ansible-runner run . --playbook "$playbook" --ident "$name"; then
        task=$(grep -h '^TASK' "artifacts/$name/stdout" | tail -n 1 | tr -d '*' || true)
        hosts=$(sed -n 's/^fatal: \[\([^] ]*\)\].*/\1/p' "artifacts/$name/stdout" | sort -u | tr '\n' ' ' || true)
        printf '%s failed in %s%s' "$playbook" "${task:-its start}" "${hosts:+ on $hosts}" > /dev/termination-log
        exit 1
    fi
done

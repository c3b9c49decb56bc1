"""What is measured, as child processes on loopback: zonegate itself, dnsdist, and the Shadowsocks programs."""

"""Further networks, written down after the others went in."""

import snntorch as snn
import torch
from snntorch import utils
from spikingjelly.activation_based import functional as sj
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn import functional

from tests.networks.listed import Catalogue, Form, T

network = Catalogue("further")


@network(
    "spiking autoencoder, its last voltage", Form.STILL, (1, 8, 8), source="snnTorch"
)
def autoencoder() -> nn.Module:
    class SAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1, stride=2),
                nn.BatchNorm2d(4),
                snn.Leaky(beta=0.5, init_hidden=True, threshold=0.5),
                nn.Flatten(),
                nn.Linear(64, 12),
                snn.Leaky(beta=0.5, init_hidden=True, output=True, threshold=0.5),
            )
            self.linear_net = nn.Sequential(
                nn.Linear(12, 64),
                snn.Leaky(beta=0.5, init_hidden=True, output=True, threshold=0.5),
            )
            self.decoder = nn.Sequential(
                nn.Unflatten(1, (4, 4, 4)),
                nn.ConvTranspose2d(4, 1, 3, padding=1, stride=2, output_padding=1),
                snn.Leaky(beta=0.5, init_hidden=True, output=True, threshold=20000),
            )

        def forward(self, x):
            for part in (self.encoder, self.linear_net, self.decoder):
                utils.reset(part)
            recorded = []
            for _ in range(T):
                spk_x, _ = self.encoder(x)
                spk_x, _ = self.linear_net(spk_x)
                _, mem_x = self.decoder(spk_x)
                recorded.append(mem_x)
            return torch.stack(recorded)[T - 1]

    return SAE()


@network("exoplanets, the last recorded voltage", Form.STILL, (64,), source="snnTorch")
def exoplanets() -> nn.Module:
    class SpikingNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.lif1 = (
                nn.Linear(64, 32),
                snn.Leaky(beta=0.8, learn_beta=True),
            )
            self.fc2, self.lif2 = (
                nn.Linear(32, 16),
                snn.Leaky(beta=0.8, learn_beta=True),
            )
            self.fc3 = nn.Linear(16, 2)
            self.lif3 = snn.Leaky(beta=0.8, learn_threshold=True)

        def forward(self, x):
            mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
            mem3 = self.lif3.init_leaky()
            spk3_rec, mem3_rec = [], []
            for _ in range(T):
                spk1, mem1 = self.lif1(self.fc1(x), mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
                spk3, mem3 = self.lif3(self.fc3(spk2), mem3)
                spk3_rec.append(spk3)
                mem3_rec.append(mem3)
            return mem3_rec[-1]

    return SpikingNN()


@network(
    "DQN for CartPole, the voltage behind", Form.STILL, (4,), source="SpikingJelly"
)
def dqn() -> nn.Module:
    class NonSpikingLIFNode(neuron.LIFNode):
        def single_step_forward(self, x):
            self.v_float_to_tensor(x)
            self.neuronal_charge(x)

    class DQSN(nn.Module):
        def __init__(self, hidden_size=16) -> None:
            super().__init__()
            self.fc = nn.Sequential(
                layer.Linear(4, hidden_size),
                neuron.IFNode(),
                layer.Linear(hidden_size, 2),
                NonSpikingLIFNode(tau=2.0),
            )
            self.T = T

        def forward(self, x):
            sj.reset_net(self.fc)
            for _ in range(self.T):
                self.fc(x)
            return self.fc[-1].v

    return DQSN()


@network(
    "speech commands, filters over time and pitch",
    Form.TIME_SECOND,
    (3, 20),
    source="SpikingJelly",
    encoding="events",
)
def speech() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, (5, 3), padding=(2, 1), bias=False)
            self.bn, self.act = nn.BatchNorm2d(4), neuron.LIFNode(tau=10 / 7)
            self.fc = layer.Linear(80, 10)
            sj.set_step_mode(self, "m")

        def forward(self, x):
            x = self.bn(self.conv(x.transpose(1, 2)))
            x = self.act(x.permute(2, 0, 1, 3))
            return self.fc(x.flatten(2)).mean(0)

    return Net()


@network("CartPole, a spiking policy", Form.STILL, (4,), source="Norse")
def policy() -> nn.Module:
    import norse.torch as norse

    class Policy(nn.Module):
        def __init__(self, hidden=16) -> None:
            super().__init__()
            self.encoder = norse.ConstantCurrentLIFEncoder(T)
            self.lif = norse.LIFRecurrentCell(8, hidden)
            self.readout = norse.LILinearCell(hidden, 2)

        def forward(self, x):
            x_pos = self.encoder(functional.relu(50 * x))
            x_neg = self.encoder(functional.relu(-50 * x))
            x = torch.cat([x_pos, x_neg], dim=2)
            s1 = so = None
            voltages = []
            for ts in range(T):
                z1, s1 = self.lif(x[ts], s1)
                vo, so = self.readout(z1, so)
                voltages.append(vo)
            m, _ = torch.max(torch.stack(voltages), 0)
            return torch.softmax(m, dim=1)

    return Policy()


@network(
    "tutorial with a recurrent layer",
    Form.TIME_SECOND,
    (40,),
    source="SpyTorch",
    encoding="events",
    functional="max",
)
def recurrent_spytorch() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1 = nn.Parameter(torch.randn(40, 24) * 0.2)
            self.v1 = nn.Parameter(torch.randn(24, 24) * 0.1)
            self.w2 = nn.Parameter(torch.randn(24, 10) * 0.2)

        def forward(self, inputs):
            alpha, beta, n = 0.82, 0.9, len(inputs)
            syn = mem = out = torch.zeros(n, 24, dtype=inputs.dtype)
            h1_from_input = torch.einsum("abc,cd->abd", (inputs, self.w1))
            spk_rec = []
            for t in range(inputs.shape[1]):
                h1 = h1_from_input[:, t] + torch.einsum("ab,bc->ac", (out, self.v1))
                mthr = mem - 1.0
                out = (mthr > 0).to(inputs.dtype)
                rst = out.detach()
                new_syn = alpha * syn + h1
                new_mem = (beta * mem + syn) * (1.0 - rst)
                spk_rec.append(out)
                mem, syn = new_mem, new_syn
            spk = torch.stack(spk_rec, dim=1)
            h2 = torch.einsum("abc,cd->abd", (spk, self.w2))
            flt = out = torch.zeros(n, 10, dtype=inputs.dtype)
            out_rec = [out]
            for t in range(inputs.shape[1]):
                new_flt = alpha * flt + h2[:, t]
                new_out = beta * out + flt
                flt, out = new_flt, new_out
                out_rec.append(out)
            return torch.stack(out_rec[1:], dim=1)

    return Net()


@network(
    "DVS gestures for DYNAP-CNN, summing pools",
    Form.STEP,
    (2, 16, 16),
    source="sinabs",
    encoding="events",
)
def dynapcnn() -> nn.Module:
    import sinabs.layers as sl

    def block(n_in, n_out):
        return (
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            sl.IAFSqueeze(batch_size=4, min_v_mem=-1.0),
            sl.SumPool2d(2),
        )

    return nn.Sequential(
        *block(2, 4), *block(4, 6), nn.Flatten(), nn.Linear(96, 11, bias=False),
        sl.IAFSqueeze(batch_size=4, min_v_mem=-1.0),
    )  # fmt: skip


@network(
    "LIFTorch, currents and voltages by time constants",
    Form.TIME_SECOND,
    (40,),
    source="Rockpool",
    encoding="events",
)
def rockpool() -> nn.Module:
    class LIFTorch(nn.Module):
        def __init__(self, n) -> None:
            super().__init__()
            self.tau_mem = nn.Parameter(torch.full((n,), 0.02))
            self.tau_syn = nn.Parameter(torch.full((n,), 0.01))
            self.threshold = nn.Parameter(torch.ones(n))
            self.bias = nn.Parameter(torch.full((n,), 0.01))
            self.dt = 1e-3

        def forward(self, data):
            alpha = torch.exp(-self.dt / self.tau_mem)
            beta = torch.exp(-self.dt / self.tau_syn)
            n_batches, n_timesteps, n = data.shape
            vmem = torch.zeros(n_batches, n, dtype=data.dtype)
            isyn = torch.zeros(n_batches, n, dtype=data.dtype)
            spikes = torch.zeros(n_batches, n, dtype=data.dtype)
            out = torch.zeros(n_batches, n_timesteps, n, dtype=data.dtype)
            for t in range(n_timesteps):
                isyn = isyn + data[:, t]
                vmem = vmem * alpha
                isyn = isyn * beta
                vmem = vmem + isyn + self.bias
                spikes = (vmem >= self.threshold).to(data.dtype)
                vmem = vmem - spikes * self.threshold
                out[:, t] = spikes
            return out

    return nn.Sequential(
        nn.Linear(40, 24), LIFTorch(24), nn.Linear(24, 10), LIFTorch(10)
    )


@network(
    "Diehl and Cook, thresholds that grow",
    Form.TIME_FIRST,
    (40,),
    source="BindsNET",
    encoding="events",
)
def diehl_and_cook() -> nn.Module:
    class DiehlAndCook(nn.Module):
        """Excitatory neurons that inhibit one another and tire."""

        def __init__(self, n=16) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.rand(40, n) * 0.3)
            self.inhibition = 17.5 * (1 - torch.eye(n))
            self.n = n

        def forward(self, x):
            v = torch.full((x.shape[1], self.n), -65.0, dtype=x.dtype)
            theta = torch.zeros(x.shape[1], self.n, dtype=x.dtype)
            s, spikes = torch.zeros_like(v), []
            for step in x:
                v = 0.99 * (v + 65.0) - 65.0 + 20 * (step @ self.w)
                v = v - s @ self.inhibition.to(x.dtype)
                s = (v >= -52.0 + theta).to(x.dtype)
                v = torch.where(s > 0, -60.0, v)
                theta = theta * (1 - 1e-7) + 0.05 * s
                spikes.append(s)
            return torch.stack(spikes)

    return DiehlAndCook()


@network(
    "Spike-driven self-attention",
    Form.TIME_FIRST,
    (8, 16),
    source="Spike-driven Transformer",
    encoding="events",
)
def sdsa() -> nn.Module:
    class SDSA(nn.Module):
        """A mask of keys times queries, summed over tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (layer.Linear(16, 16) for _ in range(3))
            self.lif_q, self.lif_k, self.lif_v, self.lif_kv = (
                neuron.LIFNode(step_mode="m") for _ in range(4)
            )
            self.head = layer.Linear(16, 10)

        def forward(self, x):
            q = self.lif_q(self.q(x))
            k, v = self.lif_k(self.k(x)), self.lif_v(self.v(x))
            kv = self.lif_kv((k * v).sum(dim=-2, keepdim=True))
            return self.head((q * kv).mean(2)).mean(0)

    return SDSA()


@network("spiking LSTM", Form.TIME_FIRST, (40,), source="snnTorch", encoding="events")
def slstm() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slstm, self.fc = snn.SLSTM(40, 24), nn.Linear(24, 10)

        def forward(self, x):
            syn, mem = self.slstm.init_slstm()
            outputs = []
            for step in x:
                spk, syn, mem = self.slstm(step, syn, mem)
                outputs.append(self.fc(spk))
            return torch.stack(outputs)

    return Net()


@network(
    "dendrites with time constants of their own",
    Form.TIME_SECOND,
    (40,),
    source="DH-SNN",
    encoding="events",
)
def dendrites() -> nn.Module:
    class Dense(nn.Module):
        def __init__(self, n_in, n, branch=2) -> None:
            super().__init__()
            self.branch = branch
            self.dense = nn.Linear(n_in, n * branch)
            self.tau_m = nn.Parameter(torch.zeros(n))
            self.tau_n = nn.Parameter(torch.linspace(-2, 2, branch))

        def forward(self, x):
            alpha, beta = self.tau_m.sigmoid(), self.tau_n.sigmoid()
            d = v = s = 0.0
            outputs = []
            for t in range(x.shape[1]):
                given = self.dense(x[:, t]).reshape(len(x), -1, self.branch)
                d = beta * d + (1 - beta) * given
                v = alpha * v + (1 - alpha) * d.sum(dim=2) - s
                s = (v > 0.5).to(x.dtype)
                outputs.append(s)
            return torch.stack(outputs, 1)

    return nn.Sequential(Dense(40, 24), nn.Linear(24, 10))

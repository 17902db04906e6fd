"""Networks of snnTorch's tutorials."""

import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn
from torch.nn import functional

from tests.networks.listed import Catalogue, Form, T

network = Catalogue("snnTorch")


@network("tutorial 3, a feedforward network", Form.TIME_FIRST, (64,))
def feedforward() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(64, 32)
            self.lif1 = snn.Leaky(beta=0.8)
            self.fc2 = nn.Linear(32, 10)
            self.lif2 = snn.Leaky(beta=0.8)

        def forward(self, spk_in):
            mem1 = self.lif1.init_leaky()
            mem2 = self.lif2.init_leaky()
            mem2_rec, spk1_rec, spk2_rec = [], [], []
            for step in range(spk_in.shape[0]):
                cur1 = self.fc1(spk_in[step])
                spk1, mem1 = self.lif1(cur1, mem1)
                cur2 = self.fc2(spk1)
                spk2, mem2 = self.lif2(cur2, mem2)
                mem2_rec.append(mem2)
                spk1_rec.append(spk1)
                spk2_rec.append(spk2)
            return torch.stack(spk2_rec)

    return Net()


@network("tutorial 4, neurons with synaptic current", Form.TIME_FIRST, (64,))
def synaptic() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            grad = surrogate.fast_sigmoid()
            self.fc1 = nn.Linear(64, 32)
            self.lif1 = snn.Synaptic(alpha=0.9, beta=0.8, spike_grad=grad)
            self.fc2 = nn.Linear(32, 10)
            self.lif2 = snn.Synaptic(alpha=0.9, beta=0.8, spike_grad=grad)

        def forward(self, x):
            syn1, mem1 = self.lif1.init_synaptic()
            syn2, mem2 = self.lif2.init_synaptic()
            recorded = []
            for step in range(x.size(0)):
                spk1, syn1, mem1 = self.lif1(self.fc1(x[step]), syn1, mem1)
                spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
                recorded.append(spk2)
            return torch.stack(recorded, dim=0)

    return Net()


@network("tutorial 5, the first trained network", Form.STILL, (64,))
def first_trained() -> nn.Module:
    num_steps, beta = T, 0.95

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(64, 48)
            self.lif1 = snn.Leaky(beta=beta)
            self.fc2 = nn.Linear(48, 10)
            self.lif2 = snn.Leaky(beta=beta)

        def forward(self, x):
            mem1 = self.lif1.init_leaky()
            mem2 = self.lif2.init_leaky()
            spk2_rec = []
            mem2_rec = []
            for _ in range(num_steps):
                cur1 = self.fc1(x)
                spk1, mem1 = self.lif1(cur1, mem1)
                cur2 = self.fc2(spk1)
                spk2, mem2 = self.lif2(cur2, mem2)
                spk2_rec.append(spk2)
                mem2_rec.append(mem2)
            return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)

    return Net()


@network("tutorial 6, convolutional, as a sequence", Form.STEP, (1, 16, 16))
def convolutional_sequence() -> nn.Module:
    grad = surrogate.fast_sigmoid(slope=25)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.MaxPool2d(2),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.Conv2d(6, 12, 3),
        nn.MaxPool2d(2),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.Flatten(),
        nn.Linear(12 * 2 * 2, 10),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True, output=True),
    )


@network("tutorial 6, convolutional, as a class", Form.STILL, (1, 16, 16))
def convolutional_class() -> nn.Module:
    num_steps = T

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            grad = surrogate.fast_sigmoid(slope=25)
            self.conv1 = nn.Conv2d(1, 6, 5)
            self.lif1 = snn.Leaky(beta=0.5, spike_grad=grad)
            self.conv2 = nn.Conv2d(6, 12, 3)
            self.lif2 = snn.Leaky(beta=0.5, spike_grad=grad)
            self.fc1 = nn.Linear(12 * 2 * 2, 10)
            self.lif3 = snn.Leaky(beta=0.5, spike_grad=grad)

        def one_step(self, x, mem1, mem2, mem3):
            cur1 = functional.max_pool2d(self.conv1(x), 2)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = functional.max_pool2d(self.conv2(spk1), 2)
            spk2, mem2 = self.lif2(cur2, mem2)
            cur3 = self.fc1(spk2.view(x.shape[0], -1))
            spk3, mem3 = self.lif3(cur3, mem3)
            return spk3, mem1, mem2, mem3

        def forward(self, x):
            mem1 = self.lif1.init_leaky()
            mem2 = self.lif2.init_leaky()
            mem3 = self.lif3.init_leaky()
            spikes = []
            for _ in range(num_steps):
                spk3, mem1, mem2, mem3 = self.one_step(x, mem1, mem2, mem3)
                spikes.append(spk3)
            return torch.stack(spikes)

    return Net()


@network(
    "tutorial 7, N-MNIST, called frame by frame",
    Form.STEP,
    (2, 16, 16),
    encoding="events",
)
def nmnist() -> nn.Module:
    grad = surrogate.atan()
    return nn.Sequential(
        nn.Conv2d(2, 6, 5),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 12, 3),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12 * 2 * 2, 10),
        snn.Leaky(beta=0.5, spike_grad=grad, init_hidden=True, output=True),
    )


@network(
    "tutorial 7, N-MNIST, with the loop inside",
    Form.TIME_FIRST,
    (2, 16, 16),
    encoding="events",
)
def nmnist_loop() -> nn.Module:
    from snntorch import utils

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nmnist()

        def forward(self, data):
            spk_rec = []
            utils.reset(self.net)
            for step in range(data.size(0)):
                spk_out, _ = self.net(data[step])
                spk_rec.append(spk_out)
            return torch.stack(spk_rec)

    return Net()


@network("population coding", Form.STILL, (64,))
def population() -> nn.Module:
    net = nn.Sequential(
        nn.Linear(64, 32),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(32, 50),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )

    class Forward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, data):
            from snntorch import utils

            utils.reset(self.net)
            out = []
            for _ in range(T):
                spk, _ = self.net(data)
                out.append(spk)
            return torch.stack(out).sum(0)

    return Forward()


@network("regression 1, membrane as output", Form.TIME_FIRST, (1,), functional="last")
def regression() -> nn.Module:
    class Net(nn.Module):
        def __init__(self, timesteps: int = T, hidden: int = 24) -> None:
            super().__init__()
            self.timesteps = timesteps
            grad = surrogate.atan()
            self.fc1 = nn.Linear(1, hidden)
            self.rlif1 = snn.Leaky(beta=0.7, learn_beta=True, spike_grad=grad)
            self.fc2 = nn.Linear(hidden, hidden)
            self.rlif2 = snn.Leaky(beta=0.8, learn_beta=True, spike_grad=grad)
            self.fc3 = nn.Linear(hidden, 1)
            self.li_out = snn.Leaky(
                beta=0.9, threshold=1.0, learn_beta=True, reset_mechanism="none"
            )

        def forward(self, x):
            mem_1 = self.rlif1.init_leaky()
            mem_2 = self.rlif2.init_leaky()
            mem_3 = self.li_out.init_leaky()
            out = []
            for step in range(self.timesteps):
                cur_1 = self.fc1(x[step, :, :])
                spk_1, mem_1 = self.rlif1(cur_1, mem_1)
                cur_2 = self.fc2(spk_1)
                spk_2, mem_2 = self.rlif2(cur_2, mem_2)
                cur_3 = self.fc3(spk_2)
                _, mem_3 = self.li_out(cur_3, mem_3)
                out.append(mem_3)
            return torch.stack(out)

    return Net()


@network("regression 2, recurrent classification", Form.STILL, (64,))
def recurrent() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.timesteps = T
            self.fc1 = nn.Linear(64, 24)
            self.rlif1 = snn.RLeaky(beta=0.8, linear_features=24)
            self.fc2 = nn.Linear(24, 10)
            self.lif2 = snn.Leaky(beta=0.9)

        def forward(self, x):
            spk1, mem1 = self.rlif1.init_rleaky()
            mem2 = self.lif2.init_leaky()
            recorded = []
            for _ in range(self.timesteps):
                spk1, mem1 = self.rlif1(self.fc1(x), spk1, mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
                recorded.append(spk2)
            return torch.stack(recorded)

    return Net()


@network("states passed in one by one", Form.STATES, (64,))
def passed_in() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(64, 32)
            self.lif1 = snn.Leaky(beta=0.9)
            self.fc2 = nn.Linear(32, 10)
            self.lif2 = snn.Leaky(beta=0.9)

        def forward(self, x, mem1, mem2):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            return spk2, mem1, mem2

    return Net()


@network("BNTT, a batch normalization for each timestep", Form.STILL, (3, 8, 8))
def bntt() -> nn.Module:
    from snntorch import BatchNormTT2d

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, bias=False)
            self.bn = BatchNormTT2d(8, T)
            self.lif1 = snn.Leaky(beta=0.9)
            self.fc = nn.Linear(8 * 36, 10)
            self.lif2 = snn.Leaky(beta=0.9)

        def forward(self, x):
            mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
            out = 0
            for step in range(T):
                spk1, mem1 = self.lif1(self.bn[step](self.conv(x)), mem1)
                spk2, mem2 = self.lif2(self.fc(spk1.flatten(1)), mem2)
                out = out + spk2
            return out

    return Net()
